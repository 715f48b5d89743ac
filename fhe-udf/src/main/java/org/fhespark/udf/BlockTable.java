package org.fhespark.udf;

import java.util.List;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;

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

  /**
   * Checks that a table has these columns, of these types, wherever they stand.
   *
   * @param table what errors call it
   * @throws InvalidInputException naming the column that is missing or of another type
   */
  public static void requireColumns(StructType schema, String table) {
    for (StructField field : SCHEMA.fields()) {
      int index = List.of(schema.fieldNames()).indexOf(field.name());
      if (index < 0) {
        throw new InvalidInputException(
            "table "
                + table
                + " has no column '"
                + field.name()
                + "', so it is no table of encrypted blocks; give one that encrypt, evaluate or"
                + " decrypt wrote");
      }
      if (!schema.fields()[index].dataType().equals(field.dataType())) {
        throw new InvalidInputException(
            "table "
                + table
                + ": column '"
                + field.name()
                + "' is "
                + schema.fields()[index].dataType().simpleString()
                + ", in a table of encrypted blocks it is "
                + field.dataType().simpleString());
      }
    }
  }
}
