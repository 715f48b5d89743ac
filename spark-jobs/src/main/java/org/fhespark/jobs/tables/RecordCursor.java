package org.fhespark.jobs.tables;

import java.io.Closeable;
import org.apache.spark.sql.catalyst.InternalRow;

/** One pass over the records of one file. */
interface RecordCursor extends Closeable {
  /**
   * The next record, or null after the last. The row is valid until the next call: a cursor may use
   * its memory again.
   */
  InternalRow next() throws Exception;
}
