package org.fhespark.compiler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.CompiledFolder;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.quantize.BatchTensor;
import org.fhespark.compiler.quantize.CalibrationBatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Modules with non-linearities, compiled and run on clear phases, against the float model. */
class LookupModelsTest {
  private static final Configuration CONFIGURATION = new Configuration();

  @TempDir private java.nio.file.Path folder;

  /** RMS error of an output relative to the RMS of its values' differences from their mean. */
  private static double error(float[] expected, float[] found) {
    assertEquals(expected.length, found.length);
    double mean = 0;
    for (float value : expected) {
      mean += value / (double) expected.length;
    }
    double difference = 0;
    double spread = 0;
    for (int i = 0; i < expected.length; i++) {
      difference += Math.pow(found[i] - expected[i], 2);
      spread += Math.pow(expected[i] - mean, 2);
    }
    return Math.sqrt(difference / spread);
  }

  private CompileReport compile(RecordedModel recorded, String model, List<String> keys) {
    return compile(recorded, model, List.of(recorded.calibrationBatch()), keys);
  }

  private CompileReport compile(
      RecordedModel recorded, String model, List<CalibrationBatch> batches, List<String> keys) {
    return new ModelCompiler(CONFIGURATION)
        .compile(
            RecordedModel.path(model),
            batches,
            CompileOptions.remote(keys).lookupError(0.005).build(),
            new Path(folder.toString()));
  }

  private ClientArtifact client() throws IOException {
    return ClientArtifact.load(new Path(folder.toString(), CompiledFolder.CLIENT), CONFIGURATION);
  }

  private ServerArtifact server() throws IOException {
    return ServerArtifact.load(new Path(folder.toString(), CompiledFolder.SERVER), CONFIGURATION);
  }

  private Map<String, OnnxTensor> run(RecordedModel recorded, boolean simulates)
      throws IOException, OrtException {
    ClientArtifact client = client();
    ServerArtifact server = server();
    server.requireCircuitsOf(client);
    Map<String, OnnxTensor> tensors = recorded.tensors();
    new DisabledRun(client, server, simulates).run(tensors);
    return tensors;
  }

  @Test
  void resultsOfLookupsCannotBeAdded() throws IOException {
    RecordedModel recorded = RecordedModel.load("nested_sequential");
    CompileOptions options = CompileOptions.remote(List.of("seq")).sums(2).build();
    String message =
        assertThrows(
                InvalidInputException.class,
                () ->
                    new ModelCompiler(CONFIGURATION)
                        .compile(
                            RecordedModel.path("nested_sequential"),
                            List.of(recorded.calibrationBatch()),
                            options,
                            new Path(folder.toString())))
            .getMessage();
    assertTrue(message.contains("'seq' needs look-ups, whose results cannot be added"), message);
  }

  @ParameterizedTest
  @CsvSource({
    "nested_sequential, seq",
    "dynamo/nested_sequential, seq",
    "conv, .",
    "dynamo/conv, features",
    "bert, encoder.layer.0.intermediate",
    "dynamo/bert, encoder.layer.1.intermediate",
    "gpt, transformer.h.0.mlp",
    "dynamo/gpt, transformer.h.1.mlp",
    "transformer, encoder.layer.0.output",
    "resnet, layer1.0",
    "dynamo/resnet, layer2",
    "resnet, .",
    "separate_norms, .",
    "auto_encoder, encoder",
    "dynamo/auto_encoder, decoder",
    "conv2d_kinds, .",
    "shared_block, block",
    "dynamo/shared_block, .",
    "quantised/brevitas_cnn, .",
    "quantised/pytorch_per_tensor, .",
    "quantised/pytorch_per_channel, .",
    "containers, mixed",
    "bert, encoder.layer.1.intermediate+encoder.layer.1.output.dense",
    "dynamo/containers, .",
  })
  void aModuleWithNonLinearitiesComputesWhatTheFloatModelDoes(String model, String key)
      throws IOException, OrtException {
    RecordedModel recorded = RecordedModel.load(model);
    CompileReport report = compile(recorded, model, List.of(key));
    assertEquals(1, report.lookups().size());
    assertEquals(List.of(), report.modules());
    Map<String, OnnxTensor> clear = run(recorded, false);
    for (Map.Entry<String, float[]> output : recorded.outputs().entrySet()) {
      float[] found = RecordedModel.values(clear.get(output.getKey()));
      double error = error(output.getValue(), found);
      assertTrue(error < 0.05, output.getKey() + " errs by " + error);
    }
  }

  @Test
  void oneEvaluationKeyServesAllModulesBesidePackedOnes() throws IOException, OrtException {
    RecordedModel recorded = RecordedModel.load("bert");
    CompileReport report =
        compile(
            recorded,
            "bert",
            List.of(
                "encoder.layer.*.intermediate", "encoder.layer.0.attention.self.query", "pooler"));
    assertEquals(3, report.lookups().size());
    assertEquals(1, report.modules().size());
    assertEquals(1, client().specs().evaluationKeys().size());
    assertEquals(1, client().specs().lweDimensions().size());
    assertEquals(2, client().specs().secretKeyShapes().size());
    Map<String, OnnxTensor> tensors = run(recorded, false);
    recorded
        .outputs()
        .forEach(
            (name, expected) ->
                assertTrue(error(expected, RecordedModel.values(tensors.get(name))) < 0.1, name));
  }

  @Test
  void theReportPromisesNoMoreThanIsKnown() throws IOException {
    RecordedModel recorded = RecordedModel.load("nested_sequential");
    String leakage =
        compile(recorded, "nested_sequential", List.of("seq")).lookups().get(0).leakage();
    assertTrue(leakage.contains("not re-randomised"), leakage);
    assertTrue(leakage.contains("averages out"), leakage);
    String page = Files.readString(folder.resolve("report.html"));
    assertTrue(page.contains("the client is warned only of outputs"), "what leaves its range");
    assertTrue(page.contains("what look-ups read wrongly and pass on comes on top"));
  }

  @Test
  void aModuleThatReadsWholeRecordsSaysSo() throws IOException {
    RecordedModel recorded = RecordedModel.load("conv");
    compile(recorded, "conv", List.of("features"));
    RemoteCallSpec call = client().specs().remote().get(0);
    assertTrue(call.hasLookups());
    assertEquals(List.of(1L, 4L, 4L), call.lookups().recordShape());
    assertEquals(16, call.dIn());
    assertEquals(
        call.dOut(),
        call.lookups().outputShape().stream().reduce(1L, Math::multiplyExact).intValue());
  }

  @Test
  void noiseIsWithinWhatWasAskedForAndShowsInASimulation() throws IOException, OrtException {
    RecordedModel recorded = RecordedModel.load("nested_sequential");
    CompileReport report = compile(recorded, "nested_sequential", List.of("seq"));
    CompileReport.LookupModule module = report.lookups().get(0);
    assertTrue(module.outputDeviation() <= 0.005, "" + module.outputDeviation());
    module.layers().forEach(layer -> assertTrue(layer.deviation() <= 0.0052, "" + layer));
    RemoteCallSpec call = client().specs().remote().get(0);
    // Computed, not what was asked for; arguments that calibration saw are far from their table's
    // end.
    assertTrue(call.log2FailureProbability() < 2 * report.log2PError(), call.toString());
    assertTrue(call.noiseMarginBits() > 0, call.toString());
    String output = call.outputs().get(0).tensor();
    float[] clear = RecordedModel.values(run(recorded, false).get(output));
    float[] noisy = RecordedModel.values(run(recorded, true).get(output));
    double square = 0;
    for (int i = 0; i < clear.length; i++) {
      double turns = (noisy[i] - clear[i]) / call.lookups().outputScales()[i % call.dOut()];
      square += turns * turns / clear.length;
    }
    // What look-ups read wrongly they pass on, so that it is more than the outputs' own noise.
    assertTrue(Math.sqrt(square) > module.noise().outputs() / 3, "" + Math.sqrt(square));
    assertTrue(Math.sqrt(square) < 0.1, "" + Math.sqrt(square));
  }

  @Test
  void statisticsCannotTakeThePlaceOfRecords() {
    RecordedModel recorded = RecordedModel.load("conv");
    CalibrationStatistics statistics =
        new CalibrationStatistics(2, recorded.model().digest(), null, 1, List.of());
    assertTrue(
        assertThrows(
                InvalidInputException.class,
                () ->
                    new ModelCompiler(CONFIGURATION)
                        .compile(
                            RecordedModel.path("conv"),
                            statistics,
                            CompileOptions.remote(List.of(".")).build(),
                            new Path(folder.toString())))
            .getMessage()
            .contains("give records (--calibration DATA) and not statistics"));
  }

  @Test
  void rangesThatRestOnFewRowsAreSaidToBeUnchecked() {
    RecordedModel recorded = RecordedModel.load("nested_sequential");
    CalibrationBatch batch = recorded.calibrationBatch();
    CompileReport few =
        compile(recorded, "nested_sequential", Collections.nCopies(1, batch), List.of("seq"));
    assertTrue(few.unchecked().toString().contains("'seq' stays in the ranges"), "" + few);
    CompileReport many =
        compile(recorded, "nested_sequential", Collections.nCopies(100, batch), List.of("seq"));
    assertEquals(List.of(), many.unchecked());
  }

  @Test
  void rowsOfZerosTellNoRange() {
    RecordedModel recorded = RecordedModel.load("nested_sequential");
    Map.Entry<String, BatchTensor> input = recorded.inputs().entrySet().iterator().next();
    BatchTensor tensor = input.getValue();
    FloatBuffer nothing = FloatBuffer.allocate(tensor.values().remaining());
    CalibrationBatch zeros =
        new CalibrationBatch(
            Map.of(input.getKey(), new BatchTensor(tensor.type(), nothing, tensor.shape())));
    String message =
        assertThrows(
                InvalidInputException.class,
                () -> compile(recorded, "nested_sequential", List.of(zeros), List.of("seq")))
            .getMessage();
    assertTrue(message.contains("module 'seq' reads is zero in all"), message);
  }

  @Test
  void anErrorThatCannotBeReachedIsRefusedWithAWayOut() {
    RecordedModel recorded = RecordedModel.load("conv");
    String message =
        assertThrows(
                InvalidInputException.class,
                () ->
                    new ModelCompiler(CONFIGURATION)
                        .compile(
                            RecordedModel.path("conv"),
                            List.of(recorded.calibrationBatch()),
                            CompileOptions.remote(List.of(".")).lookupError(1e-6).build(),
                            new Path(folder.toString())))
            .getMessage();
    assertTrue(message.contains("allow a larger error (--lookup-error)"), message);
    assertEquals(1, message.lines().count());
  }
}
