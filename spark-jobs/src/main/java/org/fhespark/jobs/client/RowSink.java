package org.fhespark.jobs.client;

import java.util.Iterator;
import java.util.function.LongConsumer;
import org.apache.spark.sql.Row;
import org.fhespark.jobs.tables.ResumableTable;
import org.fhespark.jobs.tables.TableWriter;

/** Where the results of a run go. */
@FunctionalInterface
interface RowSink {
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

  /** A table. */
  static RowSink to(TableWriter table) {
    return new RowSink() {
      @Override
      public void write(Row row) {
        table.write(row);
      }

      @Override
      public void commit() {
        table.commit();
      }
    };
  }

  /** A table; records that it has need not be scored. */
  static RowSink to(ResumableTable table) {
    return new RowSink() {
      @Override
      public void write(Row row) {
        table.write(row);
      }

      @Override
      public Iterator<Row> unfinished(Iterator<Row> records, LongConsumer takenOver) {
        return table.unfinished(records, takenOver);
      }

      @Override
      public void commit() {
        table.commit();
      }
    };
  }
}
