package org.fhespark.jobs.tables;

import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;

/** Rows of a table as the files of a format hold them: CSV has no arrays, they become text. */
final class FileRows {
  private final ArrayText arrayText;
  private final StructType schema;
  private final RowEncoder encoder;

  FileRows(StructType schema, TableFormat format) {
    this.arrayText = format == TableFormat.CSV ? new ArrayText(schema) : null;
    this.schema = format == TableFormat.CSV ? ArrayText.schema(schema) : schema;
    this.encoder = new RowEncoder(this.schema);
  }

  /** Columns of the files. */
  StructType schema() {
    return schema;
  }

  /**
   * The internal row of a row's values, by position.
   *
   * @throws IllegalArgumentException if the row has not as many values as the table has columns
   */
  InternalRow encode(Row row) {
    return encoder.encode(arrayText == null ? row : arrayText.row(row));
  }
}
