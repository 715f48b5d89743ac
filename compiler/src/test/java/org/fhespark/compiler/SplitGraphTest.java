package org.fhespark.compiler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.compiler.quantize.BatchTensor;
import org.fhespark.compiler.quantize.CalibrationBatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SplitGraphTest {
  @TempDir Path folder;

  private CompileReport compile(TestGraph graph) throws Exception {
    return new ModelCompiler(new Configuration())
        .compile(
            graph.write(folder.resolve("model.onnx")),
            List.of(
                new CalibrationBatch(
                    Map.of("x", BatchTensor.of(FloatBuffer.wrap(new float[] {1, 2, 3, 4}), 2, 2)))),
            CompileOptions.remote(List.of("fc")).build(),
            new org.apache.hadoop.fs.Path(folder.resolve("out").toString()));
  }

  private static TestGraph linear() {
    return new TestGraph()
        .input("x", -1, 2)
        .output("y", -1, 2)
        .floats("fc.weight", new float[] {1, 2, 3, 4}, 2, 2)
        .node("/fc/MatMul", List.of("x", "fc.weight"), "y");
  }

  @Test
  void anInputThatIsAnOutputGoesThereStraight() throws Exception {
    SplitGraph graph = compile(linear().output("x", -1, 2)).graph();
    assertEquals(
        List.of(
            SplitGraph.Kind.INPUT,
            SplitGraph.Kind.REMOTE,
            SplitGraph.Kind.OUTPUT,
            SplitGraph.Kind.OUTPUT),
        graph.nodes().stream().map(SplitGraph.Node::kind).toList());
    SplitGraph.Edge last = graph.edges().get(2);
    assertEquals(List.of(0, 3), List.of(last.from(), last.to()));
  }

  @Test
  void constantOutputsAreRefusedByName() {
    for (TestGraph graph :
        List.of(
            linear().output("c", -1).floats("c", new float[] {5, 6}, 2),
            linear()
                .output("c", -1)
                .floats("k", new float[] {5, 6}, 2)
                .node("/Neg", List.of("k"), "c"))) {
      assertEquals(
          "model.onnx: output 'c' is the same for every record, it depends on no input; export the"
              + " model without it",
          assertThrows(InvalidInputException.class, () -> compile(graph)).getMessage());
    }
  }

  @Test
  void anOutputThatNoSegmentMakesHasNoEdge() {
    TensorSpec constant = new TensorSpec("c", ElementType.FLOAT, List.of());
    SplitGraph graph =
        SplitGraph.of(
            new ClientSpecs(
                ArtifactJson.FORMAT_VERSION,
                "",
                List.of(),
                List.of(constant),
                null,
                List.of(),
                List.of(),
                List.of(),
                List.of(),
                List.of(),
                List.of(),
                -40),
            tensor -> {
              throw new IllegalArgumentException(tensor + " has no type");
            });
    assertEquals(
        new SplitGraph(
            List.of(new SplitGraph.Node(SplitGraph.Kind.OUTPUT, -1, "c", List.of())), List.of()),
        graph);
  }
}
