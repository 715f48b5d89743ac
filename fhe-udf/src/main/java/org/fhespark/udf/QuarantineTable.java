package org.fhespark.udf;

import static org.apache.spark.sql.functions.col;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * Rows of a table of blocks that could not be evaluated: the columns of that table as they were,
 * and where each came from. A file that cannot be read has one row, whose other columns are null.
 */
public final class QuarantineTable {
  /** STRING: the file that the row is in. */
  public static final String FILE = "_file";

  /** BIGINT: which row of the file it is, from 0. */
  public static final String ROW = "_row";

  /** STRING: why it could not be evaluated. */
  public static final String REASON = "_reason";

  private QuarantineTable() {}

  /** Where rows that Spark reads from files come from: {@link #FILE} as a URI, {@link #ROW}. */
  public static Column[] places() {
    return new Column[] {
      col("*"), col("_metadata.file_path").as(FILE), col("_metadata.row_index").as(ROW)
    };
  }

  /**
   * The columns.
   *
   * @param blocks those of the table of blocks
   */
  public static StructType schema(StructType blocks) {
    StructType columns = new StructType();
    for (StructField field : blocks.fields()) {
      columns = columns.add(field.name(), field.dataType(), true, field.metadata());
    }
    return columns
        .add(FILE, DataTypes.StringType, true)
        .add(ROW, DataTypes.LongType, true)
        .add(REASON, DataTypes.StringType, true);
  }
}
