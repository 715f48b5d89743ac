package org.fhespark.jobs.tables;

import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.IntSupplier;
import org.apache.spark.sql.Row;

/** Groups rows into batches, each filled as far as its capacity and the records' shapes allow. */
public final class RecordBatches implements Iterator<RecordBatch> {
  private final Iterator<Row> rows;
  private final InputBinding binding;
  private final IntSupplier batchRecords;

  /** A record that did not fit the batch before it. */
  private Row waiting;

  /**
   * @param batchRecords most records of the next batch
   */
  public RecordBatches(Iterator<Row> rows, InputBinding binding, IntSupplier batchRecords) {
    this.rows = rows;
    this.binding = binding;
    this.batchRecords = batchRecords;
  }

  @Override
  public boolean hasNext() {
    return waiting != null || rows.hasNext();
  }

  /** The next batch, in memory of its own. */
  @Override
  public RecordBatch next() {
    if (!hasNext()) {
      throw new NoSuchElementException("all records are read");
    }
    RecordBatch batch = binding.newBatch(batchRecords.getAsInt());
    do {
      Row row = waiting == null ? rows.next() : waiting;
      waiting = batch.add(row) ? null : row;
    } while (waiting == null && !batch.isFull() && rows.hasNext());
    return batch;
  }
}
