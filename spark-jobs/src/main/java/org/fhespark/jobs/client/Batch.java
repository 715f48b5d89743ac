package org.fhespark.jobs.client;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;

/** Some consecutive records on their way through the model. */
final class Batch {
  private final long firstRecord;
  private final List<Row> rows;
  private final Map<String, Tensor> tensors;

  /**
   * @param firstRecord number of the first record in the input, from 0
   * @param rows the records as they came
   * @param inputs the model's inputs by name
   */
  Batch(long firstRecord, List<Row> rows, Map<String, Tensor> inputs) {
    this.firstRecord = firstRecord;
    this.rows = rows;
    this.tensors = new HashMap<>(inputs);
  }

  long firstRecord() {
    return firstRecord;
  }

  List<Row> rows() {
    return rows;
  }

  /** The live tensors by name; segments and remote layers read and add. */
  Map<String, Tensor> tensors() {
    return tensors;
  }
}
