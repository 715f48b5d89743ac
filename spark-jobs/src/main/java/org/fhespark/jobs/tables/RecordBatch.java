package org.fhespark.jobs.tables;

import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.spark.sql.Row;
import org.fhespark.InvalidInputException;

/**
 * Records gathered into one tensor per model input, ready for {@code OnnxTensor.createTensor}.
 *
 * <p>The buffers are direct and in native order, {@code [rows, shape...]} row-major; they are the
 * batch's own and are overwritten after {@link #clear()}. Not safe for use by several threads.
 */
public final class RecordBatch {
  private final InputBinding binding;
  private final TensorBuffer[] tensors;
  private final int capacity;
  private final List<Row> rows = new ArrayList<>();

  RecordBatch(InputBinding binding, int capacity) {
    if (capacity < 1) {
      throw new IllegalArgumentException("a batch holds at least 1 record, not " + capacity);
    }
    this.binding = binding;
    this.tensors = new TensorBuffer[binding.specs().size()];
    int most = capacity;
    for (int i = 0; i < tensors.length; i++) {
      tensors[i] = new TensorBuffer(binding.specs().get(i));
      most = (int) Math.min(most, tensors[i].mostRecords());
    }
    this.capacity = most;
  }

  private static boolean sameBeyondFirst(long[] one, long[] other) {
    int first = Math.min(1, one.length);
    return Arrays.equals(one, first, one.length, other, first, other.length);
  }

  /** A full batch of sequences, padded with zeros to the longest. */
  static RecordBatch padded(InputBinding binding, List<SequenceRecord> records) {
    RecordBatch batch = new RecordBatch(binding, records.size());
    for (int i = 0; i < batch.tensors.length; i++) {
      long[] longest = records.get(0).shapes()[i].clone();
      for (SequenceRecord record : records) {
        long[] shape = record.shapes()[i];
        if (!sameBeyondFirst(shape, longest)) {
          throw new InvalidInputException(
              "table "
                  + binding.tableName()
                  + ": column '"
                  + binding.specs().get(i).name()
                  + "', record "
                  + record.number()
                  + ": its shape "
                  + Arrays.toString(shape)
                  + " differs from others' "
                  + Arrays.toString(longest)
                  + " beyond the first axis, and only that is padded; give all records the same");
        }
        if (shape.length > 0) {
          longest[0] = Math.max(longest[0], shape[0]);
        }
      }
      batch.tensors[i].shapeRecords(longest, records.size(), binding.tableName());
    }
    for (SequenceRecord record : records) {
      for (int i = 0; i < batch.tensors.length; i++) {
        RecordValues values = binding.values(i, record.row(), record.number());
        values.copyTo(batch.tensors[i], batch.rows.size());
      }
      batch.rows.add(record.row());
    }
    return batch;
  }

  /**
   * Adds a record.
   *
   * @return false, with the record not taken, if the batch is full or the record's open axes have
   *     other lengths than those of the records in the batch: it then begins another batch
   * @throws InvalidInputException if a value is null, not finite, out of the tensor type's range,
   *     or an array has the wrong length or is ragged
   */
  public boolean add(Row row) {
    if (isFull()) {
      return false;
    }
    int index = rows.size();
    long[][] shapes = new long[tensors.length][];
    for (int i = 0; i < tensors.length; i++) {
      shapes[i] = values(i, row).shape();
      if (index > 0 && !tensors[i].hasRecordShape(shapes[i])) {
        return false;
      }
    }
    if (index == 0) {
      for (int i = 0; i < tensors.length; i++) {
        tensors[i].shapeRecords(shapes[i], capacity, binding.tableName());
      }
    }
    for (int i = 0; i < tensors.length; i++) {
      values(i, row).copyTo(tensors[i], index);
    }
    rows.add(row);
    binding.recordAdded();
    return true;
  }

  /** Number of records in the batch. */
  public int size() {
    return rows.size();
  }

  /** Number of records the batch can take. */
  public int capacity() {
    int most = capacity;
    if (!rows.isEmpty()) {
      for (TensorBuffer tensor : tensors) {
        most = Math.min(most, tensor.records());
      }
    }
    return most;
  }

  /** Whether the next record needs another batch. */
  public boolean isFull() {
    return rows.size() >= capacity();
  }

  /** Whether it has no record. */
  public boolean isEmpty() {
    return rows.isEmpty();
  }

  /** The records as they were added, to go out beside their results. */
  public List<Row> rows() {
    return Collections.unmodifiableList(rows);
  }

  /** Shape of an input's tensor, {@code [rows, shape...]}. */
  public long[] shape(int input) {
    return tensors[input].shape(rows.size());
  }

  /** The values of an input of type FLOAT, from position 0 to the limit. */
  public FloatBuffer floats(int input) {
    return tensors[input].floats(rows.size());
  }

  /** The values of an input of type DOUBLE, from position 0 to the limit. */
  public DoubleBuffer doubles(int input) {
    return tensors[input].doubles(rows.size());
  }

  /** The values of an input of type INT32, from position 0 to the limit. */
  public IntBuffer ints(int input) {
    return tensors[input].ints(rows.size());
  }

  /** The values of an input of type INT64, from position 0 to the limit. */
  public LongBuffer longs(int input) {
    return tensors[input].longs(rows.size());
  }

  /** Empties the batch; the rows that were handed out stay whole, the buffers do not. */
  public void clear() {
    rows.clear();
  }

  private RecordValues values(int input, Row row) {
    return binding.values(input, row, binding.nextRecord());
  }
}
