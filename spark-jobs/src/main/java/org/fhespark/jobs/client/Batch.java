package org.fhespark.jobs.client;

import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;

/** Some records on their way through the model together. */
final class Batch {
  private final long[] numbers;
  private final List<Row> rows;
  private final Map<String, Tensor> tensors;
  private final int[] lengths;
  private final int longest;
  private final BitSet lost = new BitSet();
  private long largestTensorBytes;

  /**
   * Records of one shape.
   *
   * @param numbers of the records in the input, from 0
   * @param rows the records as they came
   * @param inputs the model's inputs by name
   */
  Batch(long[] numbers, List<Row> rows, Map<String, Tensor> inputs) {
    this(numbers, rows, inputs, new int[0]);
  }

  /**
   * Sequences that were padded to the longest.
   *
   * @param lengths of the sequences as they came; empty if nothing was padded
   */
  Batch(long[] numbers, List<Row> rows, Map<String, Tensor> inputs, int[] lengths) {
    this.numbers = numbers;
    this.rows = rows;
    this.tensors = new HashMap<>();
    this.lengths = lengths;
    this.longest = Arrays.stream(lengths).max().orElse(1);
    inputs.forEach(this::put);
  }

  /** The same records with the rows that they came in; the tensors are the other's from now on. */
  Batch withRows(List<Row> rows) {
    Batch batch = new Batch(numbers, rows, tensors, lengths);
    batch.lost.or(lost);
    return batch;
  }

  /** Marks records whose results are lost: no later layer reads them, they have no outputs. */
  synchronized void lose(int firstRecord, int endRecord) {
    lost.set(firstRecord, endRecord);
  }

  /** The records whose results are lost. */
  synchronized BitSet lost() {
    return (BitSet) lost.clone();
  }

  /** Sets what a tensor has of lost records to zero, and all of it if it is not cut by records. */
  void clearLost(String name) {
    BitSet records = lost();
    if (records.isEmpty()) {
      return;
    }
    Tensor tensor = tensor(name);
    if (tensor.shape()[0] != numbers.length) {
      tensor.clear();
      return;
    }
    int bytes = tensor.data().capacity() / numbers.length;
    records.stream().forEach(record -> tensor.clear(record * bytes, (record + 1) * bytes));
  }

  /** Number of a record of this batch in the input, from 0. */
  long recordNumber(int record) {
    return numbers[record];
  }

  int records() {
    return numbers.length;
  }

  /** The records as they came; none if they came as tensors. */
  List<Row> rows() {
    return rows;
  }

  /** Records, or positions of sequences with what they were padded with. */
  long units() {
    return Math.max(1, (long) numbers.length * longest);
  }

  /**
   * How many values of an output are a record's own, without those of its padding.
   *
   * @param isSequence whether the output's axis after the batch is open, as the model says
   */
  int ownValues(Tensor output, boolean isSequence, int record) {
    int values = output.elements() / numbers.length;
    boolean wasPadded = isSequence && lengths.length > 0 && output.shape()[1] == longest;
    return wasPadded ? values / longest * lengths[record] : values;
  }

  /** Lengths of the sequences as they came; none if nothing was padded. */
  int[] lengths() {
    return lengths;
  }

  /** All live tensors by name. */
  Map<String, Tensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /** A live tensor; the batch axis is its first, but for shapes and the like. */
  Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new IllegalStateException("tensor " + name + " is not there");
    }
    return tensor;
  }

  /** Adds a tensor, which is the batch's own from now on. */
  void put(String name, Tensor tensor) {
    if (tensors.put(name, tensor) != null) {
      throw new IllegalStateException("tensor " + name + " is there already");
    }
    largestTensorBytes = Math.max(largestTensorBytes, tensor.data().capacity());
  }

  /** Releases tensors that nothing reads any more. */
  void drop(Collection<String> names) {
    for (String name : names) {
      Tensor tensor = tensors.remove(name);
      if (tensor != null) {
        tensor.release();
      }
    }
  }

  /** Releases all tensors. */
  void release() {
    drop(List.copyOf(tensors.keySet()));
  }

  /** Bytes of the largest tensor that it ever held. */
  long largestTensorBytes() {
    return largestTensorBytes;
  }
}
