package org.fhespark.jobs.tables;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.Arrays;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.TensorSpec;

/** Direct memory for one input of a batch, allocated at the first record. */
final class TensorBuffer {
  private final TensorSpec spec;
  private final int width;
  private long[] recordShape;
  private int elements;
  private int records;
  private ByteBuffer bytes;
  private FloatBuffer floats;
  private DoubleBuffer doubles;
  private IntBuffer ints;
  private LongBuffer longs;

  TensorBuffer(TensorSpec spec) {
    this.spec = spec;
    this.width =
        switch (spec.type()) {
          case FLOAT, INT32 -> 4;
          case DOUBLE, INT64 -> 8;
        };
  }

  /** How many records fit 2 GiB, as far as the model tells their size; at least 1. */
  long mostRecords() {
    long perRecord = spec.elementsPerRecord();
    return perRecord < 1 ? Integer.MAX_VALUE : Math.max(1, Integer.MAX_VALUE / (perRecord * width));
  }

  boolean hasRecordShape(long[] shape) {
    return Arrays.equals(recordShape, shape);
  }

  /** Number of records that the memory holds. */
  int records() {
    return records;
  }

  /** Makes room for records of that shape, in the memory there is if it suffices. */
  void shapeRecords(long[] shape, int wantedRecords, String tableName) {
    long perRecord = 1;
    for (long axis : shape) {
      perRecord *= axis;
    }
    if (perRecord > Integer.MAX_VALUE / width) {
      throw new InvalidInputException(
          "table "
              + tableName
              + ": a record of input '"
              + spec.name()
              + "' has "
              + perRecord
              + " values, more than the 2 GiB of one tensor; cut the records");
    }
    recordShape = shape;
    elements = (int) perRecord;
    records = (int) Math.min(wantedRecords, Integer.MAX_VALUE / Math.max(1, perRecord * width));
    int needed = records * elements * width;
    if (bytes == null || bytes.capacity() < needed) {
      bytes = ByteBuffer.allocateDirect(needed).order(ByteOrder.nativeOrder());
      switch (spec.type()) {
        case FLOAT -> floats = bytes.asFloatBuffer();
        case DOUBLE -> doubles = bytes.asDoubleBuffer();
        case INT32 -> ints = bytes.asIntBuffer();
        case INT64 -> longs = bytes.asLongBuffer();
      }
    }
  }

  /** Length of an axis of the records, open ones filled in. */
  long recordAxis(int axis) {
    return recordShape[axis];
  }

  ElementType type() {
    return spec.type();
  }

  void putFloats(int record, float[] values) {
    floats.put(record * elements, values);
  }

  void putDoubles(int record, double[] values) {
    doubles.put(record * elements, values);
  }

  void putInts(int record, int[] values) {
    ints.put(record * elements, values);
  }

  void putLongs(int record, long[] values) {
    longs.put(record * elements, values);
  }

  void putFloat(int record, int element, float value) {
    floats.put(record * elements + element, value);
  }

  void putDouble(int record, int element, double value) {
    doubles.put(record * elements + element, value);
  }

  void putInt(int record, int element, int value) {
    ints.put(record * elements + element, value);
  }

  void putLong(int record, int element, long value) {
    longs.put(record * elements + element, value);
  }

  long[] shape(int rows) {
    int rank = spec.shape().size();
    long[] shape = new long[rank + 1];
    shape[0] = rows;
    for (int i = 0; i < rank; i++) {
      // An open axis of an empty batch has no length yet.
      shape[i + 1] = rows == 0 ? Math.max(0, spec.shape().get(i)) : recordShape[i];
    }
    return shape;
  }

  FloatBuffer floats(int rows) {
    require(ElementType.FLOAT);
    return rows == 0 ? FloatBuffer.allocate(0) : floats.duplicate().limit(rows * elements);
  }

  DoubleBuffer doubles(int rows) {
    require(ElementType.DOUBLE);
    return rows == 0 ? DoubleBuffer.allocate(0) : doubles.duplicate().limit(rows * elements);
  }

  IntBuffer ints(int rows) {
    require(ElementType.INT32);
    return rows == 0 ? IntBuffer.allocate(0) : ints.duplicate().limit(rows * elements);
  }

  LongBuffer longs(int rows) {
    require(ElementType.INT64);
    return rows == 0 ? LongBuffer.allocate(0) : longs.duplicate().limit(rows * elements);
  }

  private void require(ElementType asked) {
    if (spec.type() != asked) {
      throw new IllegalArgumentException(
          "input '" + spec.name() + "' is of type " + spec.type() + ", not " + asked);
    }
  }
}
