package org.fhespark.compiler;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.compiler.quantize.BatchTensor;
import org.fhespark.compiler.quantize.CalibrationBatch;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.compiler.quantize.QuantizedWeights;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelCompilerTest {
  private static final Configuration CONFIGURATION = new Configuration();

  @TempDir Path folder;

  static List<String> plainModels() {
    return RecordedModel.PLAIN;
  }

  private static org.apache.hadoop.fs.Path hadoop(Path path) {
    return new org.apache.hadoop.fs.Path(path.toString());
  }

  private CompileReport compile(String model, CompileOptions options) throws IOException {
    return new ModelCompiler(CONFIGURATION)
        .compile(
            RecordedModel.path(model),
            List.of(RecordedModel.load(model).calibrationBatch()),
            options,
            hadoop(folder.resolve("out")));
  }

  private ClientArtifact client() throws IOException {
    return ClientArtifact.load(hadoop(folder.resolve("out/client")), CONFIGURATION);
  }

  private ServerArtifact server() throws IOException {
    return ServerArtifact.load(hadoop(folder.resolve("out/server")), CONFIGURATION);
  }

  private static CompileOptions.Builder remote(String... keys) {
    return CompileOptions.remote(List.of(keys));
  }

  private static List<byte[]> filesUnder(Path folder) throws IOException {
    List<byte[]> contents = new ArrayList<>();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        contents.add(Files.readAllBytes(file));
      }
    }
    return contents;
  }

  private static boolean anyHolds(List<byte[]> files, byte[] pattern) {
    for (byte[] file : files) {
      for (int at = 0; at + pattern.length <= file.length; at++) {
        if (Arrays.equals(file, at, at + pattern.length, pattern, 0, pattern.length)) {
          return true;
        }
      }
    }
    return false;
  }

  private static byte[] littleEndian(float[] values, int from, int to) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * (to - from)).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values, from, to - from);
    return bytes.array();
  }

  @ParameterizedTest
  @MethodSource("plainModels")
  void noByteOfARemoteWeightIsInTheClientsFolderButTheServersHasIt(String name) throws IOException {
    RecordedModel recorded = RecordedModel.load(name);
    compile(name, CompileOptions.remote(List.copyOf(recorded.linears().keySet())).build());
    List<byte[]> client = filesUnder(folder.resolve("out/client"));
    List<byte[]> server = filesUnder(folder.resolve("out/server"));
    recorded
        .linears()
        .forEach(
            (key, linear) -> {
              float[] weight = linear.weight();
              float[] transposed = new float[weight.length];
              for (int j = 0; j < linear.dOut(); j++) {
                for (int i = 0; i < linear.dIn(); i++) {
                  transposed[i * linear.dOut() + j] = weight[j * linear.dIn() + i];
                }
              }
              boolean served =
                  anyHolds(server, littleEndian(weight, 0, weight.length))
                      || anyHolds(server, littleEndian(transposed, 0, weight.length));
              assertTrue(served, key);
              // Two neighbours of a row or column are enough to find any part of it.
              for (float[] values : List.of(weight, transposed)) {
                for (int i = 0; i + 2 <= values.length; i++) {
                  assertFalse(anyHolds(client, littleEndian(values, i, i + 2)), key);
                }
              }
              byte[] integers =
                  QuantizedWeights.quantize(key, weight, linear.dIn(), linear.dOut(), 8).values();
              for (int j = 0; j < linear.dOut(); j++) {
                byte[] row = Arrays.copyOfRange(integers, j * linear.dIn(), (j + 1) * linear.dIn());
                assertFalse(anyHolds(client, row), key);
              }
            });
  }

  @ParameterizedTest
  @MethodSource("plainModels")
  void theCircuitComputesWhatQuantisedWeightsAndActivationsGive(String name) throws IOException {
    RecordedModel recorded = RecordedModel.load(name);
    compile(name, CompileOptions.remote(List.copyOf(recorded.linears().keySet())).build());
    ServerArtifact server = server();
    for (RemoteCallSpec spec : client().specs().remote()) {
      int from = 0;
      for (CallOutput output : spec.outputs()) {
        RecordedModel.Linear linear = recorded.linears().get(output.module());
        RecordedModel.Call hook = recorded.callsOf(output.module()).get(0);
        int dIn = linear.dIn();
        int dOut = linear.dOut();
        assertEquals(dOut, output.columns());
        float[] x = Arrays.copyOf(hook.input(), dIn);
        float max = 0;
        for (float value : x) {
          max = Math.max(max, Math.abs(value));
        }
        int largest = (1 << (spec.quantization().activationBits() - 1)) - 1;
        double scale = max / (double) largest;
        int[] integers = new int[dIn];
        for (int i = 0; i < dIn; i++) {
          integers[i] = scale == 0 ? 0 : (int) Math.rint(x[i] / scale);
        }
        try (PackedCircuit circuit = PackedCircuit.open(server.circuit(spec.circuit()))) {
          long[] accumulators = circuit.accumulate(integers);
          for (int j = 0; j < dOut; j++) {
            double bias = spec.bias() == null ? 0 : spec.bias()[from + j];
            double y = accumulators[from + j] * scale * spec.weightScales()[from + j] + bias;
            double step = spec.weightScales()[from + j] * max * dIn;
            assertEquals(hook.output()[j], y, step / 2 + scale * dIn, output.module());
          }
        }
        from += dOut;
      }
      assertEquals(spec.dOut(), from);
    }
  }

  @Test
  void theClientsSpecsTellAllTheClientNeeds() throws IOException {
    RecordedModel recorded = RecordedModel.load("transformer");
    compile(
        "transformer",
        remote("encoder.layer.0.attention.self.query", "encoder.layer.1.output.2", "head").build());
    ClientArtifact client = client();
    assertEquals(
        List.of(
            new TensorSpec("ids", ElementType.INT64, List.of(5L)),
            new TensorSpec("mask", ElementType.FLOAT, List.of(5L))),
        client.specs().inputs());
    assertEquals(
        List.of(new TensorSpec("y", ElementType.FLOAT, List.of(2L))), client.specs().outputs());
    RemoteCallSpec query = client.specs().remote().get(0);
    assertEquals("encoder.layer.0.attention.self.query", query.circuit());
    assertArrayEquals(recorded.linears().get(query.circuit()).bias(), query.bias());
    assertEquals(8, query.dIn());
    assertTrue(query.noiseMarginBits() >= 0);
    assertTrue(query.log2FailureProbability() <= -40);
    assertTrue(query.quantization().isDynamic());
    assertTrue(client.specs().secretKeyShapes().contains(query.parameters().secretKeyShape()));
    assertEquals(recorded.model().digest(), client.specs().modelDigest());
    assertEquals(query.circuitDigest(), query.moduleSpec().circuit().hex());
  }

  @Test
  void aModuleWithoutBiasHasNoneInTheSpecs() throws IOException {
    compile("no_bias", remote("first").build());
    assertNull(client().specs().remote().get(0).bias());
    assertEquals(0, client().specs().remote().get(0).moduleSpec().bias().length);
    assertFalse(Files.readString(folder.resolve("out/client/client.json")).contains("\"bias\""));
  }

  @Test
  void modulesThatReadOneTensorAreStackedToOneCircuitAndOneCall() throws IOException {
    List<String> keys =
        List.of(
            "encoder.layer.0.attention.self.query",
            "encoder.layer.0.attention.self.key",
            "encoder.layer.0.attention.self.value");
    CompileReport report = compile("transformer", CompileOptions.remote(keys).build());
    List<RemoteCallSpec> remote = client().specs().remote();
    assertEquals(1, remote.size());
    RemoteCallSpec spec = remote.get(0);
    assertEquals(String.join("+", keys), spec.circuit());
    assertEquals(keys, spec.outputs().stream().map(CallOutput::module).toList());
    assertEquals(24, spec.dOut());
    assertEquals(24, spec.weightScales().length);
    assertEquals(1, server().specs().circuits().size());
    assertEquals(3, server().specs().floatModules().size());
    assertEquals(keys, report.modules().stream().map(CompileReport.Module::module).toList());
    server().requireCircuitsOf(client());
  }

  @Test
  void modulesWithOtherActivationBitsAreNotStacked() throws IOException {
    compile(
        "rank3",
        remote("query", "key", "value").activationBits("key", 6).weightBits("value", 4).build());
    List<RemoteCallSpec> remote = client().specs().remote();
    assertEquals(
        List.of("query+value", "key"), remote.stream().map(RemoteCallSpec::circuit).toList());
    assertEquals(6, remote.get(1).quantization().activationBits());
    assertEquals(8, remote.get(0).weightBits());
  }

  @Test
  void bitsOfAModuleThatIsNotRemoteAreRefused() {
    assertTrue(
        assertThrows(
                InvalidInputException.class, () -> remote("query").weightBits("key", 4).build())
            .getMessage()
            .contains("weight bits of 'key' were given, but it is no remote module"));
  }

  @Test
  void bitsOfAModuleNamedByAPatternAreItsOwn() throws IOException {
    CompileReport report = compile("rank3", remote("que*", "ke*").weightBits("key", 4).build());
    assertEquals(
        List.of("query", "key"),
        report.modules().stream().map(CompileReport.Module::module).toList());
    assertEquals(
        List.of(8, 4), report.modules().stream().map(CompileReport.Module::weightBits).toList());
    CompileOptions misspelt = remote("que*").weightBits("quer", 4).build();
    assertTrue(
        assertThrows(InvalidInputException.class, () -> compile("rank3", misspelt))
            .getMessage()
            .contains("weight bits of 'quer' were given, but it is no remote module"));
  }

  @Test
  void aModuleCalledTwiceHasOneCircuitAndTwoCalls() throws IOException {
    CompileReport report = compile("shared_twice", remote("shared").build());
    assertEquals(1, server().specs().circuits().size());
    List<RemoteCallSpec> remote = client().specs().remote();
    assertEquals(List.of(0, 1), remote.stream().map(RemoteCallSpec::stage).toList());
    assertEquals(remote.get(0).circuitDigest(), remote.get(1).circuitDigest());
    assertEquals(List.of(0, 1), report.modules().get(0).stages());
    assertEquals(6, report.modules().get(0).calibratedRecords());
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 5, 8})
  void weightsOfAnyBitsAreCompiled(int bits) throws IOException {
    CompileReport report = compile("rank3", remote("query").weightBits(bits).build());
    RemoteCallSpec spec = client().specs().remote().get(0);
    assertEquals(bits, spec.weightBits());
    assertEquals((1 << (bits - 1)) - 1, spec.norms().maxAbs());
    assertEquals(bits, report.modules().get(0).weightBits());
  }

  @Test
  void staticQuantisationTakesItsScaleFromTheCalibration() throws IOException {
    RecordedModel recorded = RecordedModel.load("residual");
    compile(
        "residual", remote("down").quantization(QuantizationMode.STATIC).activationBits(7).build());
    float max = 0;
    for (RecordedModel.Call call : recorded.calls()) {
      if (call.module().equals("down")) {
        for (float value : call.input()) {
          max = Math.max(max, Math.abs(value));
        }
      }
    }
    RemoteCallSpec spec = client().specs().remote().get(0);
    assertEquals(7, spec.quantization().activationBits());
    assertEquals(max / 63, spec.quantization().staticScale(), max * 1e-5);
  }

  @Test
  void resultsThatMayBeAddedHaveOneScaleAndRoomForTheirSum() throws IOException {
    CompileReport report = compile("layered", remote("conv1", "layer2.0.conv2").sums(500).build());
    for (RemoteCallSpec spec : client().specs().remote()) {
      PackedParameters parameters = spec.parameters();
      assertEquals(500, parameters.summands());
      assertTrue(spec.quantization().staticScale() > 0);
      int largest = (1 << (spec.quantization().activationBits() - 1)) - 1;
      double sum = 500.0 * largest * spec.norms().maxL1();
      assertTrue(sum < Math.pow(2, parameters.messageBits() - 1), spec.circuit());
      // The client checks the same when it opens a module.
      ModuleClient.withoutKey(spec.moduleSpec()).close();
    }
    for (CompileReport.Module module : report.modules()) {
      assertEquals(QuantizationMode.STATIC, module.quantization());
      assertTrue(module.coversWorstCase());
      assertTrue(module.log2FailureProbability() <= -40);
      assertTrue(module.policy().contains("the sum of 500 results"), module.policy());
    }
    assertThrows(InvalidInputException.class, () -> remote("conv1").sums(0).build());
    assertThrows(InvalidInputException.class, () -> remote("conv1").sums(1 << 21).build());
  }

  @Test
  void theReportSaysWhatTheFileSays() throws IOException {
    CompileReport report = compile("layered", remote("conv1", "layer2.0.conv2").build());
    JsonNode json = new ObjectMapper().readTree(folder.resolve("out/report.json").toFile());
    assertEquals(report.clientId(), json.get("clientId").asText());
    assertEquals(client().id(), report.clientId());
    JsonNode module = json.get("modules").get(0);
    assertEquals("conv1", module.get("module").asText());
    CompileReport.Module reported = report.modules().get(0);
    assertEquals(reported.lweDimension(), module.get("lweDimension").asInt());
    assertEquals(8 * reported.parameters().limbs(), reported.log2Modulus());
    assertEquals(reported.noiseMarginBits(), module.get("noiseMarginBits").asDouble());
    assertTrue(reported.log2FailureProbability() <= -40);
    assertTrue(reported.bytesUpPerValue() > reported.parameters().bodyLimbs());
    assertTrue(reported.bytesUpPerValue() < reported.parameters().bodyLimbs() + 0.01);
    assertTrue(reported.bytesDownPerValue() >= reported.parameters().outputBodyLimbs());
    assertTrue(
        reported
            .leakage()
            .contains(
                reported.lweDimension() + " equations for the " + reported.dIn() + " weights"),
        reported.leakage());
    assertTrue(reported.leakage().contains("client.json itself publishes"), reported.leakage());
    assertTrue(reported.policy().contains("p = "), reported.policy());
    assertEquals(2, report.stages());
  }

  @Test
  void whatTheClientReadsOfTheWeightsIsInTheReport() throws IOException {
    CompileReport without = compile("no_bias", remote("first").build());
    assertFalse(without.modules().get(0).leakage().contains("bias"));
    CompileReport with = compile("rank3", remote("query").build());
    assertTrue(with.modules().get(0).leakage().contains("and the bias"));
  }

  @Test
  void aModuleWhoseWeightsAreAllZeroCarriesItsActivations() throws IOException {
    ModelProto.Builder model = RecordedModel.load("layered").model().proto().toBuilder();
    for (TensorProto.Builder tensor : model.getGraphBuilder().getInitializerBuilderList()) {
      if (tensor.getName().equals("conv1.weight")) {
        tensor.setRawData(ByteString.copyFrom(new byte[tensor.getRawData().size()]));
      }
    }
    Path file = Files.write(folder.resolve("zero.onnx"), model.build().toByteArray());
    for (CompileOptions options :
        List.of(remote("conv1").build(), remote("conv1").activationBits(16).build())) {
      CompileReport report =
          new ModelCompiler(CONFIGURATION)
              .compile(
                  hadoop(file),
                  List.of(RecordedModel.load("layered").calibrationBatch()),
                  options,
                  hadoop(folder.resolve("out")));
      RemoteCallSpec spec = client().specs().remote().get(0);
      assertEquals(0, spec.norms().maxAbs());
      assertTrue(
          spec.parameters().messageBits() >= spec.quantization().activationBits(), spec.toString());
      assertTrue(report.modules().get(0).coversWorstCase());
      server().requireCircuitsOf(client());
    }
  }

  private String refusalOfFolder(Path out) {
    String message =
        assertThrows(
                InvalidInputException.class,
                () ->
                    new ModelCompiler(CONFIGURATION)
                        .compile(
                            RecordedModel.path("rank3"),
                            List.of(RecordedModel.load("rank3").calibrationBatch()),
                            remote("query").build(),
                            hadoop(out)))
            .getMessage();
    assertEquals(1, message.lines().count(), message);
    assertTrue(message.contains(out.toString()), message);
    return message;
  }

  @Test
  void aFolderThatCannotBeMadeIsOneLine() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "mine");
    assertTrue(refusalOfFolder(file).contains("is a file"));
    assertTrue(refusalOfFolder(file.resolve("out")).contains("is a file"));
    assertTrue(refusalOfFolder(file.resolve("deep/out")).contains("is a file"));
    assertTrue(refusalOfFolder(Path.of("/proc/out")).contains("cannot be written"));
    assertEquals("mine", Files.readString(file));
  }

  @Test
  void compilingTwiceGivesTheSameClientAndServer() throws IOException {
    CompileReport first = compile("rank3", remote("query", "dense").build());
    CompileReport second = compile("rank3", remote("query", "dense").build());
    assertEquals(first, second);
  }

  @Test
  void aCompiledModelIsReplacedButNothingElseIs() throws IOException {
    compile("rank3", remote("query").build());
    compile("no_bias", remote("first").build());
    assertEquals("first", client().specs().remote().get(0).circuit());
    Files.writeString(folder.resolve("out/thesis.tex"), "mine");
    String message =
        assertThrows(InvalidInputException.class, () -> compile("rank3", remote("query").build()))
            .getMessage();
    assertTrue(message.contains("holds 'thesis.tex'"), message);
    assertEquals("mine", Files.readString(folder.resolve("out/thesis.tex")));
  }

  @Test
  void aFailedCompilationLeavesNothingBehind() throws IOException {
    assertThrows(InvalidInputException.class, () -> compile("rank3", remote("nothing").build()));
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(0, files.count());
    }
  }

  private String refusalOfData(List<CalibrationBatch> data) {
    String message =
        assertThrows(
                InvalidInputException.class,
                () ->
                    new ModelCompiler(CONFIGURATION)
                        .compile(
                            RecordedModel.path("rank3"),
                            data,
                            remote("query", "dense").build(),
                            hadoop(folder.resolve("out"))))
            .getMessage();
    assertEquals(1, message.lines().count(), message);
    return message;
  }

  private static FloatBuffer floats(int count, float value) {
    FloatBuffer buffer =
        ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asFloatBuffer();
    while (buffer.hasRemaining()) {
      buffer.put(value);
    }
    return buffer.flip();
  }

  @Test
  void calibrationDataThatWillNotDoIsRefused() {
    assertTrue(refusalOfData(List.of()).contains("no record reaches tensor 'x'"));
    assertTrue(
        refusalOfData(List.of(new CalibrationBatch(Map.of())))
            .contains("no column for input 'x' of rank3.onnx"));
    assertTrue(
        refusalOfData(
                List.of(
                    new CalibrationBatch(
                        Map.of("x", BatchTensor.of(floats(8, Float.NaN), 1, 1, 8)))))
            .contains("tensor 'x' holds NaN"));
    assertTrue(
        refusalOfData(
                List.of(new CalibrationBatch(Map.of("x", BatchTensor.of(floats(8, 1), 1, 8)))))
            .contains("ONNX Runtime"));
  }

  @Test
  void anActivationThatOverflowsInsideTheModelIsNamed() {
    // Finite inputs; q·kᵀ overflows, and softmax makes NaN of it.
    String message =
        refusalOfData(
            List.of(new CalibrationBatch(Map.of("x", BatchTensor.of(floats(32, 1e30f), 1, 4, 8)))));
    assertTrue(message.contains("tensor '/MatMul_1_output_0' holds NaN"), message);
  }

  @Test
  void aFixedBatchAxisIsRefused() throws IOException {
    ModelProto.Builder model = RecordedModel.load("rank3").model().proto().toBuilder();
    model
        .getGraphBuilder()
        .getInputBuilder(0)
        .getTypeBuilder()
        .getTensorTypeBuilder()
        .getShapeBuilder()
        .getDimBuilder(0)
        .setDimValue(3);
    Path file = Files.write(folder.resolve("fixed.onnx"), model.build().toByteArray());
    String message =
        assertThrows(
                InvalidInputException.class,
                () ->
                    new ModelCompiler(CONFIGURATION)
                        .compile(
                            hadoop(file),
                            List.of(),
                            remote("query").build(),
                            hadoop(folder.resolve("out"))))
            .getMessage();
    assertEquals(
        "fixed.onnx: input 'x' has the fixed batch size 3; export the model with"
            + " dynamic_axes={'x': {0: 'batch'}}",
        message);
  }

  /** Behind the remote layer, where no module is refused. */
  @ParameterizedTest
  @ValueSource(strings = {"/norm/BatchNormalization", "/drop/Dropout"})
  void aModelInTrainingModeIsRefused(String node) throws IOException {
    TestGraph graph =
        new TestGraph()
            .input("x", -1, 2)
            .output("y", -1, 2)
            .floats("w", new float[] {1, 2, 3, 4}, 2, 2)
            .floats("one", new float[] {1, 1}, 2)
            .floats("ratio", new float[] {0.5f})
            .bytes("training", TensorProto.DataType.BOOL, new byte[] {1})
            .node("/dense/MatMul", List.of("x", "w"), "h");
    if (node.endsWith("Dropout")) {
      graph.node(node, List.of("h", "ratio", "training"), "y");
    } else {
      List<String> inputs = List.of("h", "one", "one", "one", "one");
      graph.node(node, inputs, "y", TestGraph.number("training_mode", 1));
    }
    org.apache.hadoop.fs.Path model = graph.write(folder.resolve("training.onnx"));
    String message =
        assertThrows(
                InvalidInputException.class,
                () ->
                    new ModelCompiler(CONFIGURATION)
                        .compile(
                            model,
                            List.of(),
                            remote("dense").build(),
                            hadoop(folder.resolve("out"))))
            .getMessage();
    assertTrue(message.contains("node '" + node + "' is in training mode"), message);
    assertTrue(message.endsWith("export the model after model.eval()"), message);
  }

  @Test
  void optionsOutOfRangeAreRefused() {
    for (CompileOptions.Builder options :
        List.of(
            remote("a").weightBits(1),
            remote("a").weightBits(9),
            remote("a").activationBits(3),
            remote("a").activationBits(17),
            remote("a").expectedBatch(0),
            remote("a").log2PError(0),
            remote("a").log2PError(Double.NaN))) {
      assertEquals(
          1,
          assertThrows(InvalidInputException.class, options::build).getMessage().lines().count());
    }
  }

  @Test
  void modulesWhoseResultsFitNoTaskTogetherHaveCircuitsOfTheirOwn() throws IOException {
    int outputs = 70_000;
    TestGraph graph = new TestGraph().input("x", -1, 2);
    for (String key : List.of("a", "b", "c")) {
      float[] weights = new float[2 * outputs];
      for (int i = 0; i < weights.length; i++) {
        weights[i] = i * 37 % 101 - 50;
      }
      graph
          .floats(key + ".weight", weights, 2, outputs)
          .node("/" + key + "/MatMul", List.of("x", key + ".weight"), key)
          .output(key, -1, outputs);
    }
    CompileReport report =
        new ModelCompiler(CONFIGURATION)
            .compile(
                graph.write(folder.resolve("wide.onnx")),
                List.of(
                    new CalibrationBatch(
                        Map.of("x", BatchTensor.of(FloatBuffer.wrap(new float[] {1, 2}), 1, 2)))),
                remote("a", "b", "c").build(),
                hadoop(folder.resolve("out")));
    assertEquals(
        3, report.modules().stream().map(CompileReport.Module::circuit).distinct().count());
  }
}
