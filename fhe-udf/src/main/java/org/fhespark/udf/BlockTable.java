package org.fhespark.udf;

import java.util.List;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;

/**
 * Encrypted blocks as a table, one row a block. A table of results has the same columns, {@link
 * #BLOCK} being the result. Further columns are kept where a table is made from another; blocks of
 * groups of records, whose results are to be added, have {@link #GROUP} and {@link #GROUP_BLOCKS}
 * besides. A table of sums has the columns of a table of results again, a row a group, its {@link
 * #NUMBER} being the group.
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

  /** BIGINT: the client's number for the group, that of its first block. */
  public static final String GROUP = "group";

  /** INT: blocks of the group in this module. */
  public static final String GROUP_BLOCKS = "group_blocks";

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

  private static final StructType GROUPED =
      SCHEMA.add(GROUP, DataTypes.LongType, false).add(GROUP_BLOCKS, DataTypes.IntegerType, false);

  private BlockTable() {}

  /** The columns, in this order. */
  public static StructType schema() {
    return SCHEMA;
  }

  /** The columns of blocks of groups, in this order. */
  public static StructType groupedSchema() {
    return GROUPED;
  }

  /**
   * Checks that a table has the columns of {@link #schema}, of these types, wherever they stand.
   *
   * @param table what errors call it
   * @throws InvalidInputException naming the column that is missing or of another type
   */
  public static void requireColumns(StructType schema, String table) {
    require(
        SCHEMA,
        schema,
        table,
        "so it is no table of encrypted blocks; give one that encrypt, evaluate or decrypt wrote");
  }

  /**
   * The same of {@link #groupedSchema}.
   *
   * @throws InvalidInputException as {@link #requireColumns}
   */
  public static void requireGroups(StructType schema, String table) {
    requireColumns(schema, table);
    require(
        GROUPED,
        schema,
        table,
        "so its blocks are of no groups that could be added; encrypt with --group-by");
  }

  private static void require(
      StructType wanted, StructType schema, String table, String otherwise) {
    for (StructField field : wanted.fields()) {
      int index = List.of(schema.fieldNames()).indexOf(field.name());
      if (index < 0) {
        throw new InvalidInputException(
            "table " + table + " has no column '" + field.name() + "', " + otherwise);
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
