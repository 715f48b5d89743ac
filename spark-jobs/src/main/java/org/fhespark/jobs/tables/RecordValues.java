package org.fhespark.jobs.tables;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import org.apache.spark.sql.Row;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.TensorSpec;
import scala.collection.Iterator;
import scala.collection.Seq;
import scala.collection.immutable.ArraySeq;

/** The values that one record gives to one input: their shape, checked, and a checked copy. */
final class RecordValues {
  private final Row row;
  private final InputBinding.Source source;
  private final TensorSpec spec;
  private final String tableName;
  private final long record;

  RecordValues(
      Row row, InputBinding.Source source, TensorSpec spec, String tableName, long record) {
    this.row = row;
    this.source = source;
    this.spec = spec;
    this.tableName = tableName;
    this.record = record;
  }

  /**
   * The record's shape, open axes filled in from its lengths.
   *
   * @throws InvalidInputException if lengths and the model's shape do not go together
   */
  long[] shape() {
    List<Long> wanted = spec.shape();
    long[] shape = new long[wanted.size()];
    for (int axis = 0; axis < shape.length; axis++) {
      shape[axis] = wanted.get(axis);
    }
    if (source.depth() == 0) {
      return shape;
    }
    int column = source.columns()[0];
    Seq<?> level = array(row.get(column), column, -1);
    if (source.depth() == shape.length) {
      for (int axis = 0; axis < shape.length; axis++) {
        int length = level.length();
        if (shape[axis] < 0 && length > 0) {
          shape[axis] = length;
        } else if (shape[axis] != length) {
          throw wrongLength(column, axis, wanted.get(axis), length);
        }
        if (axis + 1 < shape.length) {
          level = array(level.head(), column, 0);
        }
      }
      return shape;
    }
    fillOpenAxis(shape, level.length(), column);
    return shape;
  }

  /** Copies the values to a tensor whose records have this record's shape. */
  void copyTo(TensorBuffer tensor, int index) {
    if (source.depth() == 0) {
      int element = 0;
      for (int column : source.columns()) {
        put(tensor, index, element++, row.get(column), column, -1);
      }
    } else {
      int column = source.columns()[0];
      Seq<?> values = array(row.get(column), column, -1);
      if (source.depth() > 1) {
        copyNested(tensor, index, values, 0, 0, column);
      } else if (!copyPrimitive(tensor, index, values, column)) {
        copyFlat(tensor, index, values, 0, column);
      }
    }
  }

  private void fillOpenAxis(long[] shape, int length, int column) {
    long known = 1;
    int open = -1;
    for (int axis = 0; axis < shape.length; axis++) {
      if (shape[axis] < 0) {
        open = axis;
      } else {
        known *= shape[axis];
      }
    }
    if (open < 0 ? length == known : length > 0 && known > 0 && length % known == 0) {
      if (open >= 0) {
        shape[open] = length / known;
      }
      return;
    }
    String expected =
        open < 0 ? known + " values" : "a multiple of " + known + " values, at least one";
    throw invalid(
        column, expected + " (shape " + spec.shape() + ")", String.valueOf(length), "correct it");
  }

  private int copyNested(
      TensorBuffer tensor, int index, Seq<?> level, int axis, int element, int column) {
    if (axis + 1 == source.depth()) {
      return copyFlat(tensor, index, level, element, column);
    }
    // The room was measured along the first elements; a longer branch must not leave it.
    long expected = tensor.recordAxis(axis + 1);
    Iterator<?> inner = level.iterator();
    int position = 0;
    int next = element;
    while (inner.hasNext()) {
      Seq<?> array = array(inner.next(), column, position);
      if (array.length() != expected) {
        throw ragged(column, axis + 1, expected, array.length());
      }
      next = copyNested(tensor, index, array, axis + 1, next, column);
      position++;
    }
    return next;
  }

  private int copyFlat(TensorBuffer tensor, int index, Seq<?> values, int first, int column) {
    int element = first;
    Iterator<?> iterator = values.iterator();
    while (iterator.hasNext()) {
      put(tensor, index, element, iterator.next(), column, element);
      element++;
    }
    return element;
  }

  /** Copies whole arrays of the tensor's own type; false if the array is of another one. */
  private boolean copyPrimitive(TensorBuffer tensor, int index, Seq<?> values, int column) {
    ElementType type = tensor.type();
    if (type == ElementType.FLOAT && values instanceof ArraySeq.ofFloat seq) {
      float[] floats = seq.unsafeArray();
      for (int i = 0; i < floats.length; i++) {
        if (!Float.isFinite(floats[i])) {
          throw notFinite(column, i, String.valueOf(floats[i]));
        }
      }
      tensor.putFloats(index, floats);
      return true;
    }
    if (type == ElementType.DOUBLE && values instanceof ArraySeq.ofDouble seq) {
      double[] doubles = seq.unsafeArray();
      for (int i = 0; i < doubles.length; i++) {
        if (!Double.isFinite(doubles[i])) {
          throw notFinite(column, i, String.valueOf(doubles[i]));
        }
      }
      tensor.putDoubles(index, doubles);
      return true;
    }
    if (type == ElementType.FLOAT && values instanceof ArraySeq.ofDouble seq) {
      double[] doubles = seq.unsafeArray();
      for (int i = 0; i < doubles.length; i++) {
        putFloat(tensor, index, i, doubles[i], column, i);
      }
      return true;
    }
    if (type == ElementType.INT64 && values instanceof ArraySeq.ofLong seq) {
      tensor.putLongs(index, seq.unsafeArray());
      return true;
    }
    if (type == ElementType.INT32 && values instanceof ArraySeq.ofInt seq) {
      tensor.putInts(index, seq.unsafeArray());
      return true;
    }
    return false;
  }

  /** {@code position} is where the value stands in its column's array, -1 for a plain number. */
  private void put(
      TensorBuffer tensor, int index, int element, Object value, int column, int position) {
    if (value == null) {
      throw invalid(column, "a number" + at(position), "null", "fill it or drop the record");
    }
    if (!(value instanceof Number number)) {
      throw invalid(
          column, "a number" + at(position), value.getClass().getSimpleName(), "correct it");
    }
    switch (tensor.type()) {
      case FLOAT -> putFloat(tensor, index, element, number.doubleValue(), column, position);
      case DOUBLE -> {
        double wide = number.doubleValue();
        if (!Double.isFinite(wide)) {
          throw notFinite(column, position, String.valueOf(wide));
        }
        tensor.putDouble(index, element, wide);
      }
      case INT32 -> {
        long exact = integer(number, column, position);
        if (exact != (int) exact) {
          throw invalid(
              column, "an int32" + at(position), String.valueOf(exact), "bring it into range");
        }
        tensor.putInt(index, element, (int) exact);
      }
      case INT64 -> tensor.putLong(index, element, integer(number, column, position));
    }
  }

  private void putFloat(
      TensorBuffer tensor, int index, int element, double wide, int column, int position) {
    if (!Double.isFinite(wide)) {
      throw notFinite(column, position, String.valueOf(wide));
    }
    float value = (float) wide;
    if (!Float.isFinite(value)) {
      throw invalid(
          column, "a float32" + at(position), String.valueOf(wide), "bring it into range");
    }
    tensor.putFloat(index, element, value);
  }

  /** Integers often travel as doubles; a fraction would be lost without a word. */
  private long integer(Number number, int column, int position) {
    if (number instanceof Long
        || number instanceof Integer
        || number instanceof Short
        || number instanceof Byte) {
      return number.longValue();
    }
    if (number instanceof Double || number instanceof Float) {
      double wide = number.doubleValue();
      if (!Double.isFinite(wide)) {
        throw notFinite(column, position, String.valueOf(wide));
      }
      // 2^63 is the first double above the longs.
      if (wide == Math.rint(wide) && wide >= -0x1p63 && wide < 0x1p63) {
        return (long) wide;
      }
    } else {
      BigDecimal exact =
          number instanceof BigInteger whole
              ? new BigDecimal(whole)
              : new BigDecimal(number.toString());
      try {
        return exact.longValueExact();
      } catch (ArithmeticException e) {
        // Falls to the message below, which names the value.
      }
    }
    throw invalid(
        column, "an int64" + at(position), number.toString(), "round it or bring it into range");
  }

  private Seq<?> array(Object value, int column, int position) {
    if (value instanceof Seq<?> seq) {
      return seq;
    }
    throw invalid(
        column,
        "an array" + at(position),
        value == null ? "null" : value.getClass().getSimpleName(),
        "fill it or drop the record");
  }

  private static String at(int position) {
    return position < 0 ? "" : " at index " + position + " (from 0)";
  }

  private InvalidInputException notFinite(int column, int position, String found) {
    return invalid(column, "a finite number" + at(position), found, "fill it or drop the record");
  }

  private InvalidInputException wrongLength(int column, int axis, long expected, long found) {
    return invalid(
        column,
        (expected < 0 ? "at least one value" : expected + " values")
            + " along axis "
            + axis
            + " (shape "
            + spec.shape()
            + ")",
        String.valueOf(found),
        "correct it");
  }

  private InvalidInputException ragged(int column, int axis, long expected, long found) {
    return invalid(
        column,
        "arrays of one length along axis " + axis + " (" + expected + " values)",
        "one of " + found,
        "pad or cut the ragged array");
  }

  private InvalidInputException invalid(int column, String expected, String found, String remedy) {
    String name = row.schema() == null ? spec.name() : row.schema().fieldNames()[column];
    return new InvalidInputException(
        "table "
            + tableName
            + ": column '"
            + name
            + "', record "
            + record
            + ": expected "
            + expected
            + ", found "
            + found
            + "; "
            + remedy);
  }
}
