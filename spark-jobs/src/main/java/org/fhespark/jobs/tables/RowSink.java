package org.fhespark.jobs.tables;

import java.util.Iterator;
import java.util.function.LongConsumer;
import org.apache.spark.sql.Row;

/** Where the results of a run go. */
@FunctionalInterface
public interface RowSink {
  /** Takes the result of the next record. */
  void write(Row row);

  /**
   * The records that are to be scored.
   *
   * @param takenOver is told of records that need not be, when the input comes to them
   */
  default Iterator<Row> unfinished(Iterator<Row> records, LongConsumer takenOver) {
    return records;
  }

  /** All results were written. */
  default void commit() {}
}
