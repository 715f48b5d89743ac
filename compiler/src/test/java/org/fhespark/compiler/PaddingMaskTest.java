package org.fhespark.compiler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.quantize.BatchTensor;
import org.fhespark.compiler.quantize.CalibrationBatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PaddingMaskTest {
  private static final Configuration CONFIGURATION = new Configuration();
  private static final List<String> BERT =
      List.of(
          "encoder.layer.0.attention.self.query",
          "encoder.layer.0.attention.self.key",
          "encoder.layer.0.attention.self.value",
          "encoder.layer.0.attention.output.dense",
          "encoder.layer.1.intermediate.dense",
          "pooler.dense");

  @TempDir Path folder;

  private org.apache.hadoop.fs.Path hadoop(String name) {
    return new org.apache.hadoop.fs.Path(folder.resolve(name).toString());
  }

  private ClientArtifact client() throws IOException {
    return ClientArtifact.load(hadoop("out/client"), CONFIGURATION);
  }

  private CompileReport compileBert(CompileOptions options) {
    return new ModelCompiler(CONFIGURATION)
        .compile(
            RecordedModel.path("bert"),
            List.of(RecordedModel.load("bert").calibrationBatch()),
            options,
            hadoop("out"));
  }

  @Test
  void rowsOfTokensSkipPaddingAndRowsOfRecordsDoNot() throws IOException {
    CompileReport report = compileBert(CompileOptions.remote(BERT).build());
    assertEquals("attention_mask", client().specs().paddingMask());
    for (RemoteCallSpec call : client().specs().remote()) {
      assertEquals(!call.circuit().startsWith("pooler"), call.skipsPadding(), call.circuit());
    }
    assertTrue(report.padding().contains("neither encrypted nor computed"), report.padding());
    // 6 + 4 + 2 of 3 x 6 tokens are real.
    assertEquals(12, report.modules().get(0).calibratedRecords());
    assertEquals(3, report.modules().get(5).calibratedRecords());
  }

  @Test
  void outputsAtRealPositionsAreThoseOfAModelThatSkipsNothing() throws IOException, OrtException {
    RecordedModel recorded = RecordedModel.load("bert");
    compileBert(CompileOptions.remote(BERT).build());
    Map<String, OnnxTensor> tensors = recorded.tensors();
    new DisabledRun(client(), ServerArtifact.load(hadoop("out/server"), CONFIGURATION))
        .run(tensors);
    float[] pooled = RecordedModel.values(tensors.get("pooled"));
    float[] expectedPooled = recorded.outputs().get("pooled");
    for (int i = 0; i < pooled.length; i++) {
      assertEquals(expectedPooled[i], pooled[i], 0.03);
    }
    float[] hidden = RecordedModel.values(tensors.get("hidden"));
    float[] expected = recorded.outputs().get("hidden");
    LongBuffer mask = tensors.get("attention_mask").getLongBuffer();
    for (int i = 0; i < hidden.length; i++) {
      if (mask.get(i / 8) != 0) {
        assertEquals(expected[i], hidden[i], 0.06);
      }
    }
  }

  @Test
  void theMaskCanBeSwitchedOff() throws IOException {
    CompileReport report = compileBert(CompileOptions.remote(BERT).paddingMask("none").build());
    assertNull(client().specs().paddingMask());
    assertNull(report.padding());
    assertTrue(client().specs().remote().stream().noneMatch(RemoteCallSpec::skipsPadding));
  }

  @Test
  void aMaskThatIsNoInputIsRefusedWithTheInputsThereAre() {
    assertEquals(
        "bert.onnx: the padding mask 'mask' is no input; name one of input_ids, attention_mask,"
            + " token_type_ids, or switch it off (--padding-mask none)",
        assertThrows(
                InvalidInputException.class,
                () -> compileBert(CompileOptions.remote(BERT).paddingMask("mask").build()))
            .getMessage());
  }

  /** Sums over all positions, whatever the mask says: its padding matters. */
  private CompileReport compileLeaking() throws IOException {
    TestGraph graph =
        new TestGraph()
            .input("x", -1, -1, 3)
            .input("valid", TensorProto.DataType.INT64, -1, -1)
            .output("y", -1, 2)
            .floats("lin.weight", new float[] {1, 2, 3, 4, 5, 6}, 3, 2)
            .floats("one", new float[] {1}, 1)
            .longs("axis", 1)
            .node("/Tanh", List.of("x"), "h")
            .node("/lin/MatMul", List.of("h", "lin.weight"), "l")
            .node("/ReduceSum", List.of("l", "axis"), "s", TestGraph.number("keepdims", 0))
            .node("/Cast", List.of("valid"), "v", TestGraph.number("to", 1))
            .node("/ReduceMax", List.of("v"), "m", TestGraph.number("keepdims", 0))
            .node("/Mul", List.of("s", "m"), "y");
    return compile(graph);
  }

  /** Compiles module lin of a graph with inputs x [2, 4, 3] and valid [2, 4]. */
  private CompileReport compile(TestGraph graph) throws IOException {
    FloatBuffer x =
        ByteBuffer.allocateDirect(4 * 24).order(ByteOrder.nativeOrder()).asFloatBuffer();
    for (int i = 0; i < 24; i++) {
      x.put(i, 0.1f * i);
    }
    LongBuffer valid =
        ByteBuffer.allocateDirect(8 * 8).order(ByteOrder.nativeOrder()).asLongBuffer();
    for (int i = 0; i < 8; i++) {
      valid.put(i, 1);
    }
    return new ModelCompiler(CONFIGURATION)
        .compile(
            graph.write(folder.resolve("model.onnx")),
            List.of(
                new CalibrationBatch(
                    Map.of("x", BatchTensor.of(x, 2, 4, 3), "valid", BatchTensor.of(valid, 2, 4)))),
            CompileOptions.remote(List.of("lin")).paddingMask("valid").build(),
            hadoop("out"));
  }

  /** Which column of the module is the largest at each position, and what a node makes of that. */
  private CompileReport compileChoosing(String... then) throws IOException {
    TestGraph graph =
        new TestGraph()
            .input("x", -1, -1, 3)
            .input("valid", TensorProto.DataType.INT64, -1, -1)
            .output("choice", TensorProto.DataType.INT64, -1, then.length == 0 ? -1 : 1)
            .floats("lin.weight", new float[] {1, 2, 3, 4, 5, 6}, 3, 2)
            .longs("axis", 1)
            .node("/Tanh", List.of("x"), "h")
            .node("/lin/MatMul", List.of("h", "lin.weight"), "l")
            .node("/Cast", List.of("valid"), "v", TestGraph.number("to", 1))
            .node("/ReduceMax", List.of("v"), "m", TestGraph.number("keepdims", 0))
            .node("/Mul", List.of("l", "m"), "n")
            .node(
                "/ArgMax",
                List.of("n"),
                then.length == 0 ? "choice" : "choices",
                TestGraph.number("axis", -1),
                TestGraph.number("keepdims", 0));
    if (then.length > 0) {
      graph.node(then[0], List.of("choices", "axis"), "choice");
    }
    return compile(graph);
  }

  @Test
  void integerOutputsMayDifferWherePaddingIs() throws IOException {
    CompileReport report = compileChoosing();
    assertTrue(report.padding().contains("neither encrypted nor computed"), report.padding());
    assertTrue(client().specs().remote().get(0).skipsPadding());
  }

  @Test
  void integerOutputsThatDependOnPaddingKeepItComputed() throws IOException {
    CompileReport report = compileChoosing("/ReduceSum");
    assertTrue(report.padding().contains("output 'choice' depends on"), report.padding());
    assertFalse(client().specs().remote().get(0).skipsPadding());
  }

  @Test
  void paddingThatAnOutputDependsOnIsNotSkippedAndTheReportSaysSo() throws IOException {
    CompileReport report = compileLeaking();
    assertFalse(client().specs().remote().get(0).skipsPadding());
    assertNull(client().specs().paddingMask());
    assertEquals(
        "positions where 'valid' is 0 are computed like all others, for output 'y' depends on"
            + " positions where 'valid' is 0, for sequences padded behind",
        report.padding());
  }
}
