package org.fhespark.compiler;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.compiler.affine.IntegerWeights;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ExposedModel;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Models that Brevitas and PyTorch trained or calibrated with quantisation. */
class QuantizedModelsTest {
  private static final Configuration CONFIGURATION = new Configuration();

  @TempDir Path folder;

  private static JsonNode json(String name) throws IOException {
    return new ObjectMapper()
        .readTree(new File("src/test/resources/models/quantised/" + name + ".json"));
  }

  private static List<String> quantisedModules(String name) throws IOException {
    List<String> keys = new ArrayList<>();
    json(name).get("quantised").fieldNames().forEachRemaining(keys::add);
    return keys;
  }

  private List<RemoteCallSpec> compile(String name) throws IOException {
    new ModelCompiler(CONFIGURATION)
        .compile(
            RecordedModel.path("quantised/" + name),
            List.of(RecordedModel.load("quantised/" + name).calibrationBatch()),
            CompileOptions.remote(quantisedModules(name)).build(),
            hadoop(folder));
    return ClientArtifact.load(hadoop(folder.resolve("client")), CONFIGURATION).specs().remote();
  }

  private static org.apache.hadoop.fs.Path hadoop(Path path) {
    return new org.apache.hadoop.fs.Path(path.toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"brevitas_mlp", "brevitas_cnn", "pytorch_per_tensor", "pytorch_per_channel"})
  void disableEqualsTheModelsOwnOutputToFloatRounding(String name)
      throws IOException, OrtException {
    RecordedModel recorded = RecordedModel.load("quantised/" + name);
    compile(name);
    Map<String, OnnxTensor> tensors = recorded.tensors();
    new DisabledRun(
            ClientArtifact.load(hadoop(folder.resolve("client")), CONFIGURATION),
            ServerArtifact.load(hadoop(folder.resolve("server")), CONFIGURATION))
        .run(tensors);
    Set<String> outputs = recorded.outputs().keySet();
    try (ExposedModel own = new ExposedModel(recorded.model(), List.of());
        OrtSession.Result result = own.run(recorded.tensors(), outputs)) {
      for (String output : outputs) {
        float[] expected = RecordedModel.values((OnnxTensor) result.get(output).orElseThrow());
        assertArrayEquals(expected, RecordedModel.values(tensors.get(output)), 2e-5f);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"brevitas_mlp", "brevitas_cnn", "pytorch_per_tensor", "pytorch_per_channel"})
  void theIntegersAndScalesOfWeightsAreTheModelsOwn(String name) throws IOException {
    ModuleTree tree = RecordedModel.load("quantised/" + name).tree();
    JsonNode quantised = json(name).get("quantised");
    for (String key : quantisedModules(name)) {
      IntegerWeights weights = tree.find(key).calls().get(0).map().integers().orElseThrow();
      List<Integer> expected = new ArrayList<>();
      quantised.get(key).get("integers").get("values").forEach(v -> expected.add(v.asInt()));
      List<Integer> actual = new ArrayList<>();
      boolean dense = weights.values().get().length == expected.size();
      for (byte value : weights.values().get()) {
        if (dense || value != 0) {
          actual.add((int) value);
        }
      }
      if (!dense) {
        // Between the groups of a convolution are zeros that the file does not hold.
        expected.removeIf(value -> value == 0);
      }
      assertEquals(expected, actual, key);
      JsonNode scales = quantised.get(key).get("scale").get("values");
      double[] own = weights.scales().get();
      for (int j = 0; j < own.length; j++) {
        assertEquals(scales.get(scales.size() == 1 ? 0 : j).asDouble(), own[j], 1e-8, key);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"brevitas_mlp", "brevitas_cnn"})
  void clippedWeightsHaveTheBitsOfTheirRangeAndActivationsTheirOwnScale(String name)
      throws IOException {
    JsonNode quantised = json(name).get("quantised");
    for (RemoteCallSpec call : compile(name)) {
      assertEquals(
          quantised.get(call.circuit()).get("bits").asInt(), call.weightBits(), call.circuit());
      assertFalse(call.quantization().isDynamic(), call.circuit());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"pytorch_per_tensor"})
  void unsignedActivationsOfEightBitsGetNineWithTheirZeroPoint(String name) throws IOException {
    for (RemoteCallSpec call : compile(name)) {
      assertTrue(call.quantization().activationBits() >= 9, call.toString());
    }
  }
}
