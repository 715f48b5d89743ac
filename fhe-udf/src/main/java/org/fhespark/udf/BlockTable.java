package org.fhespark.udf;

import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * Encrypted blocks as a table, one row a block. A table of results has the same columns, {@link
 * #BLOCK} being the result. Further columns are kept where a table is made from another.
 *
 * <p>A block's own header says all of it again, and is what is checked: the other columns are there
 * to select and group by.
 */
public final class BlockTable {
  /** STRING: SHA-256 of the circuit that the block is for, or that made it, in hexadecimal. */
  public static final String CIRCUIT = "circuit";

  /** STRING: key of the remote module in the model. */
  public static final String MODULE = "module";

  /** STRING: id of the client key, in hexadecimal. */
  public static final String KEY = "key";

  /** BIGINT: the client's number for the block. */
  public static final String NUMBER = "number";

  /** INT: records that the block holds. */
  public static final String RECORDS = "records";

  /** BINARY: the block as it travels. */
  public static final String BLOCK = "block";

  private static final StructType SCHEMA =
      new StructType(
          new StructField[] {
            new StructField(CIRCUIT, DataTypes.StringType, false, Metadata.empty()),
            new StructField(MODULE, DataTypes.StringType, false, Metadata.empty()),
            new StructField(KEY, DataTypes.StringType, false, Metadata.empty()),
            new StructField(NUMBER, DataTypes.LongType, false, Metadata.empty()),
            new StructField(RECORDS, DataTypes.IntegerType, false, Metadata.empty()),
            new StructField(BLOCK, DataTypes.BinaryType, false, Metadata.empty())
          });

  private BlockTable() {}

  /** The columns, in this order. */
  public static StructType schema() {
    return SCHEMA;
  }
}
