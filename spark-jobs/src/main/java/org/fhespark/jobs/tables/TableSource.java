package org.fhespark.jobs.tables;

import org.apache.spark.sql.types.StructType;

/** The records of all the files of a table, read on this thread alone. */
interface TableSource {
  /** Columns, all nullable. */
  StructType schema();

  /** Number of records in all the files. */
  long rowCount();

  /** Opens the file of that index in {@link TableFiles#files()}. */
  RecordCursor open(int file) throws Exception;
}
