package org.fhespark.compiler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.modules.ModuleInfo;
import org.fhespark.compiler.modules.ModuleKind;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Models with every convolution and every Linear remote, in integers. */
class ConvolutionalModelsTest {
  private static final Configuration CONFIGURATION = new Configuration();

  @TempDir Path folder;

  private org.apache.hadoop.fs.Path hadoop(String name) {
    return new org.apache.hadoop.fs.Path(folder.resolve(name).toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "resnet",
        "conv1d",
        "conv2d_kinds",
        "conv_containers",
        "dynamo/resnet",
        "dynamo/conv1d",
        "dynamo/conv2d_kinds",
        "dynamo/conv_containers"
      })
  void integersComeCloseToPyTorch(String name) throws IOException, OrtException {
    RecordedModel recorded = RecordedModel.load(name);
    List<String> keys =
        recorded.tree().modules().stream()
            .filter(module -> module.kind() != ModuleKind.CONTAINER && module.canGoRemote())
            .map(ModuleInfo::key)
            .toList();
    CompileReport report =
        new ModelCompiler(CONFIGURATION)
            .compile(
                RecordedModel.path(name),
                List.of(recorded.calibrationBatch()),
                CompileOptions.remote(keys).activationBits(12).build(),
                hadoop("out"));
    assertEquals(keys.size(), report.modules().size());
    Map<String, OnnxTensor> tensors = recorded.tensors();
    new DisabledRun(
            ClientArtifact.load(hadoop("out/client"), CONFIGURATION),
            ServerArtifact.load(hadoop("out/server"), CONFIGURATION))
        .run(tensors);
    for (Map.Entry<String, float[]> output : recorded.outputs().entrySet()) {
      float[] actual = RecordedModel.values(tensors.get(output.getKey()));
      double error = 0;
      double size = 0;
      for (int i = 0; i < actual.length; i++) {
        error += Math.pow(actual[i] - output.getValue()[i], 2);
        size += Math.pow(output.getValue()[i], 2);
      }
      // Weights of 8 bits err by about 0.2 % of the largest, layer by layer.
      assertTrue(Math.sqrt(error / size) < 0.05, name + " " + Math.sqrt(error / size));
    }
  }
}
