package org.fhespark.jobs.client;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;

/** Some records on their way through the model together. */
final class Batch {
  private final long[] numbers;
  private final List<Row> rows;
  private final Map<String, Tensor> tensors;

  /**
   * @param numbers of the records in the input, from 0
   * @param rows the records as they came
   * @param inputs the model's inputs by name
   */
  Batch(long[] numbers, List<Row> rows, Map<String, Tensor> inputs) {
    this.numbers = numbers;
    this.rows = rows;
    this.tensors = new HashMap<>(inputs);
  }

  /** Number of a record of this batch in the input, from 0. */
  long recordNumber(int record) {
    return numbers[record];
  }

  List<Row> rows() {
    return rows;
  }

  /** A live tensor; the batch axis is its first. */
  Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new IllegalStateException("tensor " + name + " is not there");
    }
    return tensor;
  }

  /** Adds a tensor. */
  void put(String name, Tensor tensor) {
    tensors.put(name, tensor);
  }
}
