package org.fhespark.jobs.tables;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.TensorSpec;
import org.junit.jupiter.api.Test;

class OutputColumnsTest {
  private static final StructType INPUT = StructType.fromDDL("key STRING, x DOUBLE");
  private static final List<TensorSpec> OUTPUTS =
      List.of(
          new TensorSpec("logits", ElementType.FLOAT, List.of(2L)),
          new TensorSpec("label", ElementType.INT64, List.of()));

  @Test
  void resultsFollowTheInputColumns() {
    OutputColumns columns = new OutputColumns(INPUT, OUTPUTS, "t");
    assertEquals(
        "struct<key:string,x:double,logits:array<float>,label:array<bigint>>",
        columns.schema().simpleString());
    FloatBuffer logits = FloatBuffer.wrap(new float[] {1, 2, 3, 4});
    LongBuffer labels = LongBuffer.wrap(new long[] {7, 8});
    Row row = columns.row(RowFactory.create("k", 0.5), List.of(logits, labels), 1, 2);
    assertEquals("k", row.getString(0));
    assertEquals(List.of(3f, 4f), row.getList(row.fieldIndex("logits")));
    assertEquals(List.of(8L), row.getList(row.fieldIndex("label")));
    assertEquals(0, logits.position());
  }

  @Test
  void anInputColumnNamedAsAnOutputIsRefused() {
    InvalidInputException e =
        assertThrows(
            InvalidInputException.class,
            () -> new OutputColumns(StructType.fromDDL("Label INT"), OUTPUTS, "t"));
    assertTrue(
        e.getMessage().contains("column 'Label' has the name of the model's output 'label'"));
  }

  @Test
  void buffersThatDoNotHoldTheBatchAreRefused() {
    OutputColumns columns = new OutputColumns(INPUT, OUTPUTS, "t");
    Row input = RowFactory.create("k", 0.5);
    FloatBuffer short3 = FloatBuffer.allocate(3);
    LongBuffer labels = LongBuffer.allocate(2);
    assertThrows(
        IllegalArgumentException.class, () -> columns.row(input, List.of(short3, labels), 0, 2));
    assertThrows(
        IllegalArgumentException.class, () -> columns.row(input, List.of(labels, labels), 0, 1));
    assertThrows(
        IllegalArgumentException.class,
        () -> columns.row(input, List.of(FloatBuffer.allocate(4), labels), 2, 2));
  }
}
