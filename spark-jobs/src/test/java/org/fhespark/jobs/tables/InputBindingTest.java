package org.fhespark.jobs.tables;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.TensorSpec;
import org.junit.jupiter.api.Test;
import scala.collection.immutable.ArraySeq;
import scala.jdk.javaapi.CollectionConverters;

class InputBindingTest {
  @Test
  void arraysOfAnyNumbersFillAFloatTensor() {
    TensorSpec spec = spec("x", ElementType.FLOAT, 2L, 2L);
    for (Object value :
        List.of(
            new ArraySeq.ofFloat(new float[] {1, 2, 3, 4}),
            new ArraySeq.ofDouble(new double[] {1, 2, 3, 4}),
            new ArraySeq.ofLong(new long[] {1, 2, 3, 4}),
            seq(1, 2, 3, 4),
            seq(new BigDecimal("1"), new BigDecimal("2.0"), 3.0, 4f),
            seq(seq(1f, 2f), seq(3f, 4f)))) {
      boolean nested = value.toString().lastIndexOf("(") > value.toString().indexOf("(");
      RecordBatch batch = batch(nested ? "x ARRAY<ARRAY<FLOAT>>" : "x ARRAY<DOUBLE>", 3, spec);
      assertTrue(batch.add(row(value)));
      assertTrue(batch.add(row(value)));
      assertArrayEquals(new long[] {2, 2, 2}, batch.shape(0));
      FloatBuffer floats = batch.floats(0);
      assertTrue(floats.isDirect());
      assertEquals(ByteOrder.nativeOrder(), floats.order());
      assertEquals(FloatBuffer.wrap(new float[] {1, 2, 3, 4, 1, 2, 3, 4}), floats);
    }
  }

  @Test
  void numbersFillScalarsOfEveryType() {
    RecordBatch batch =
        batch(
            "d DOUBLE, b TINYINT, l DECIMAL(20,0), i DOUBLE, name STRING",
            2,
            spec("i", ElementType.INT64),
            spec("b", ElementType.INT32, 1L),
            spec("d", ElementType.DOUBLE),
            spec("l", ElementType.INT64, 1L));
    Row row = row(0.1, (byte) -3, new BigDecimal("9007199254740993"), 5.0, "n");
    assertTrue(batch.add(row));
    assertEquals(5L, batch.longs(0).get(0));
    assertEquals(-3, batch.ints(1).get(0));
    assertEquals(0.1, batch.doubles(2).get(0));
    assertEquals(9007199254740993L, batch.longs(3).get(0));
    assertArrayEquals(new long[] {1}, batch.shape(0));
    assertArrayEquals(new long[] {1, 1}, batch.shape(1));
    assertEquals(List.of(row), batch.rows());
    assertThrows(IllegalArgumentException.class, () -> batch.floats(0));
  }

  @Test
  void plainNumericColumnsServeASingleVectorInTheirOrder() {
    RecordBatch batch =
        batch("b INT, key STRING, a DOUBLE, c BIGINT", 1, spec("x", ElementType.FLOAT, 3L));
    assertTrue(batch.add(row(2, "k", 1.5, 3L)));
    assertEquals(FloatBuffer.wrap(new float[] {2, 1.5f, 3}), batch.floats(0));
    assertFalse(batch.add(row(2, "k", 1.5, 3L)));
    batch.clear();
    assertTrue(batch.add(row(7, "k", 1.5, 3L)));
    assertEquals(7, batch.floats(0).get(0));
  }

  @Test
  void aRecordWithOtherOpenLengthsBeginsAnotherBatch() {
    TensorSpec ids = spec("ids", ElementType.INT64, -1L);
    RecordBatch batch = batch("ids ARRAY<BIGINT>", 4, ids);
    assertTrue(batch.add(row(seq(1, 2, 3))));
    assertFalse(batch.add(row(seq(1, 2))));
    assertTrue(batch.add(row(new ArraySeq.ofLong(new long[] {4, 5, 6}))));
    assertArrayEquals(new long[] {2, 3}, batch.shape(0));
    batch.clear();
    assertTrue(batch.add(row(seq(1, 2, 3, 4, 5))));
    assertArrayEquals(new long[] {1, 5}, batch.shape(0));
    assertEquals(5, batch.longs(0).remaining());
    refused(batch("ids ARRAY<INT>", 1, ids), "at least one value along axis 0", seq());
    RecordBatch tokens = batch("x ARRAY<FLOAT>", 2, spec("x", ElementType.FLOAT, -1L, 2L));
    assertTrue(tokens.add(row(seq(1f, 2f, 3f, 4f))));
    assertArrayEquals(new long[] {1, 2, 2}, tokens.shape(0));
    refused(
        batch("x ARRAY<FLOAT>", 2, spec("x", ElementType.FLOAT, -1L, 2L)),
        "a multiple of 2",
        seq(1f));
  }

  @Test
  void columnsThatCannotServeAreNamedBeforeAnyRecord() {
    TensorSpec vector = spec("input", ElementType.FLOAT, 4L);
    unbindable("'Input' was meant", "Input ARRAY<FLOAT>, k INT, l INT, m INT, n INT", vector);
    unbindable("'imput' was meant", "imput STRING", vector);
    unbindable("the columns are 'a', 'b'", "a STRING, b STRING", vector);
    unbindable(
        "4 plain numeric columns would serve, but the table has 5 ('id', 'a', 'b', 'c', 'd') and 1"
            + " others",
        "id BIGINT, a INT, b INT, c INT, d INT, key STRING",
        vector);
    unbindable("column 'input' is string", "input STRING", vector);
    unbindable("column 'input' is array<string>", "input ARRAY<STRING>", vector);
    unbindable("column 'input' is double", "input DOUBLE", vector);
    unbindable("needs an array of 4 numbers (shape [4])", "input ARRAY<ARRAY<INT>>", vector);
    unbindable("nest the arrays 2 deep", "x ARRAY<INT>", spec("x", ElementType.FLOAT, -1L, -1L));
    unbindable(
        "has no column 'mask'",
        "ids ARRAY<INT>, mask_ ARRAY<INT>",
        spec("ids", ElementType.INT64, -1L),
        spec("mask", ElementType.INT64, -1L));
    unbindable("has no column 'x'", "a INT, b INT", spec("x", ElementType.FLOAT, -1L));
  }

  @Test
  void recordsThatCannotServeAreNamed() {
    TensorSpec pair = spec("x", ElementType.FLOAT, 2L);
    String floats = "x ARRAY<FLOAT>";
    refused(batch(floats, 2, pair), "found null", new Object[] {null});
    refused(batch(floats, 2, pair), "a number at index 1 (from 0), found null", seq(1f, null));
    refused(batch(floats, 2, pair), "2 values along axis 0 (shape [2]), found 3", seq(1f, 2f, 3f));
    refused(
        batch(floats, 2, pair),
        "a finite number at index 1 (from 0), found NaN",
        new ArraySeq.ofFloat(new float[] {1, Float.NaN}));
    refused(
        batch(floats, 2, pair),
        "at index 0 (from 0), found -Infinity",
        seq(Double.NEGATIVE_INFINITY, 1));
    refused(
        batch("x ARRAY<DOUBLE>", 2, pair),
        "a float32 at index 1 (from 0), found 1.0E39",
        seq(1, 1e39));
    TensorSpec square = spec("x", ElementType.INT32, 2L, 2L);
    String nested = "x ARRAY<ARRAY<INT>>";
    refused(batch(nested, 2, square), "axis 1 (2 values), found one of 1", seq(seq(1, 2), seq(3)));
    refused(batch(nested, 2, square), "2 values along axis 1", seq(seq(1), seq(3)));
    refused(
        batch(nested, 2, square), "an array at index 1 (from 0), found null", seq(seq(1, 2), null));
    refused(
        batch("x ARRAY<INT>", 2, square),
        "expected 4 values (shape [2, 2]), found 3",
        seq(1, 2, 3));
    refused(batch("x DOUBLE", 2, spec("x", ElementType.INT64)), "an int64, found 1.5", 1.5);
    refused(batch("x DOUBLE", 2, spec("x", ElementType.INT64)), "an int64, found 9.2", 0x1p63);
    refused(
        batch("x BIGINT", 2, spec("x", ElementType.INT32)), "an int32, found 2147483648", 1L << 31);
    RecordBatch open = batch(nested, 2, spec("x", ElementType.INT64, -1L, -1L));
    refused(open, "one of 3; pad or cut the ragged array", seq(seq(1, 2), seq(1, 2, 3)));
  }

  @Test
  void recordsAreNumberedAcrossTheBatchesOfABinding() {
    InputBinding binding = bind("x DOUBLE", spec("x", ElementType.FLOAT));
    RecordBatch first = binding.newBatch(1);
    assertTrue(first.add(rowOf("x DOUBLE", 1.0)));
    RecordBatch second = binding.newBatch(1);
    InvalidInputException e =
        assertThrows(InvalidInputException.class, () -> second.add(rowOf("x DOUBLE", Double.NaN)));
    assertTrue(e.getMessage().contains("column 'x', record 2:"), e::getMessage);
    assertTrue(second.isEmpty());
    assertTrue(second.add(rowOf("x DOUBLE", 3.0)));
    assertEquals(3f, second.floats(0).get(0));
  }

  @Test
  void aBatchTakesNoMoreThanATensorCanHold() {
    RecordBatch batch =
        batch("x ARRAY<FLOAT>", Integer.MAX_VALUE, spec("x", ElementType.FLOAT, 1L << 28));
    assertEquals(1, batch.capacity());
  }

  private static void unbindable(String expected, String ddl, TensorSpec... specs) {
    InvalidInputException e = assertThrows(InvalidInputException.class, () -> bind(ddl, specs));
    assertTrue(e.getMessage().contains(expected), e::getMessage);
    assertTrue(e.getMessage().startsWith("table t"), e::getMessage);
    assertEquals(1, e.getMessage().lines().count());
  }

  private static void refused(RecordBatch batch, String expected, Object... values) {
    InvalidInputException e =
        assertThrows(InvalidInputException.class, () -> batch.add(row(values)));
    assertTrue(e.getMessage().contains(expected), e::getMessage);
    assertTrue(e.getMessage().contains("column '"), e::getMessage);
    assertTrue(e.getMessage().contains("record 1: expected"), e::getMessage);
    assertTrue(batch.isEmpty());
  }

  private static InputBinding bind(String ddl, TensorSpec... specs) {
    return InputBinding.bind(StructType.fromDDL(ddl), List.of(specs), "t");
  }

  private static RecordBatch batch(String ddl, int capacity, TensorSpec... specs) {
    return bind(ddl, specs).newBatch(capacity);
  }

  private static Row row(Object... values) {
    return org.apache.spark.sql.RowFactory.create(values);
  }

  private static Row rowOf(String ddl, Object... values) {
    return new GenericRowWithSchema(values, StructType.fromDDL(ddl));
  }

  private static TensorSpec spec(String name, ElementType type, Long... shape) {
    return new TensorSpec(name, type, List.of(shape));
  }

  private static Object seq(Object... values) {
    return CollectionConverters.asScala(new ArrayList<>(Arrays.asList(values)));
  }
}
