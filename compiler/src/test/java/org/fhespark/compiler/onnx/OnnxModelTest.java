package org.fhespark.compiler.onnx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.FunctionProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.RecordedModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class OnnxModelTest {
  @TempDir Path folder;

  private static byte[] bytesOf(String name) throws IOException {
    return Files.readAllBytes(Path.of(RecordedModel.path(name).toString()));
  }

  private Path write(byte[] bytes) throws IOException {
    return Files.write(folder.resolve("model.onnx"), bytes);
  }

  private static OnnxModel load(Path file) throws IOException {
    return OnnxModel.load(new org.apache.hadoop.fs.Path(file.toString()), new Configuration());
  }

  private String refusalOf(byte[] bytes) throws IOException {
    Path file = write(bytes);
    String message = assertThrows(InvalidInputException.class, () -> load(file)).getMessage();
    assertEquals(1, message.lines().count(), message);
    return message;
  }

  @Test
  void aModelIsReadWithItsDigest() throws IOException {
    OnnxModel model = load(write(bytesOf("conv")));
    assertEquals("model.onnx", model.file());
    assertEquals(5, model.graph().nodeCount());
    assertEquals(org.fhespark.compiler.storage.Sha256.hexOf(bytesOf("conv")), model.digest());
  }

  @Test
  void aMissingFileIsNamed() {
    String message =
        assertThrows(InvalidInputException.class, () -> load(folder.resolve("none.onnx")))
            .getMessage();
    assertTrue(message.contains("none.onnx: no such file"), message);
  }

  @Test
  void aFileThatCannotBeReadIsNamed() {
    // Its first page is mapped nowhere, so that reading it is an input/output error for anyone.
    String message =
        assertThrows(InvalidInputException.class, () -> load(Path.of("/proc/self/mem")))
            .getMessage();
    assertTrue(message.startsWith("/proc/self/mem: cannot be read: "), message);
    assertEquals(1, message.lines().count(), message);
  }

  @Test
  void aFolderIsNoModel() {
    String message = assertThrows(InvalidInputException.class, () -> load(folder)).getMessage();
    assertTrue(message.contains("is a folder"), message);
  }

  @Test
  void anUnknownFileSystemIsNamed() {
    String message =
        assertThrows(
                InvalidInputException.class,
                () ->
                    OnnxModel.load(
                        new org.apache.hadoop.fs.Path("nosuch://host/m.onnx"), new Configuration()))
            .getMessage();
    assertTrue(message.startsWith("nosuch://host/m.onnx: no file system"), message);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "hello, this is not a model\n", "PK\3\4 a zip file", "{\"a\": 1}"})
  void aFileOfAnotherKindIsNotAnOnnxFile(String content) throws IOException {
    String message = refusalOf(content.getBytes(java.nio.charset.StandardCharsets.UTF_8));
    assertEquals("model.onnx: not an ONNX file", message);
  }

  @Test
  void aModelCutAnywhereIsTruncated() throws IOException {
    byte[] bytes = bytesOf("layered");
    for (int length = 2; length < bytes.length - 20; length += 97) {
      String message = refusalOf(Arrays.copyOf(bytes, length));
      assertTrue(message.startsWith("model.onnx: truncated"), length + ": " + message);
    }
  }

  @Test
  void aGraphOutOfOrderIsRefused() throws IOException {
    ModelProto.Builder model = ModelProto.parseFrom(bytesOf("conv")).toBuilder();
    GraphProto.Builder graph = model.getGraphBuilder();
    NodeProto first = graph.getNode(0);
    graph.removeNode(0).addNode(first);
    String message = refusalOf(model.build().toByteArray());
    assertTrue(message.contains("before anything makes it; export the model again"), message);
  }

  @Test
  void anOldOperatorSetIsRefused() throws IOException {
    ModelProto.Builder model = ModelProto.parseFrom(bytesOf("conv")).toBuilder();
    model.getOpsetImportBuilder(0).setVersion(12);
    String message = refusalOf(model.build().toByteArray());
    assertEquals(
        "model.onnx: operator set 12 is too old; export it with opset_version=13 or later",
        message);
  }

  @ParameterizedTest
  @ValueSource(longs = {24, 1000})
  void anOperatorSetOfTheFutureIsRefused(long version) throws IOException {
    ModelProto.Builder model = ModelProto.parseFrom(bytesOf("conv")).toBuilder();
    model.getOpsetImportBuilder(0).setVersion(version);
    assertEquals(
        "model.onnx: operator set "
            + version
            + " is not known yet; export it with opset_version=23",
        refusalOf(model.build().toByteArray()));
  }

  @ParameterizedTest
  @CsvSource({"opset13,13", "conv,17", "opset18,18", "dynamo/conv,20", "dynamo/opset23,23"})
  void operatorSetsFrom13OnAreRead(String name, long version) {
    OnnxModel model = RecordedModel.load(name).model();
    assertEquals(version, model.proto().getOpsetImport(0).getVersion());
  }

  @Test
  void anOperatorOfAnotherDomainIsNamedWithItsNode() throws IOException {
    ModelProto.Builder model = ModelProto.parseFrom(bytesOf("conv")).toBuilder();
    model.getGraphBuilder().getNodeBuilder(1).setDomain("my.domain").setOpType("Quux");
    String message = refusalOf(model.build().toByteArray());
    assertTrue(
        message.startsWith(
            "model.onnx: node '/features/features.1/Relu' uses operator Quux of 'my.domain'"),
        message);
  }

  @Test
  void sparseWeightsAreRefused() throws IOException {
    ModelProto.Builder model = ModelProto.parseFrom(bytesOf("conv")).toBuilder();
    model.getGraphBuilder().addSparseInitializerBuilder().getValuesBuilder().setName("w");
    assertTrue(refusalOf(model.build().toByteArray()).contains("tensor 'w' is stored sparse"));
  }

  @Test
  void localFunctionsAreRefused() throws IOException {
    ModelProto.Builder model = ModelProto.parseFrom(bytesOf("conv")).toBuilder();
    model.addFunctions(FunctionProto.newBuilder().setName("f"));
    assertTrue(refusalOf(model.build().toByteArray()).contains("defines local functions"));
  }

  private static byte[] withExternalData(String location, long offset, long length)
      throws IOException {
    ModelProto.Builder model = ModelProto.parseFrom(bytesOf("conv")).toBuilder();
    GraphProto.Builder graph = model.getGraphBuilder();
    TensorProto.Builder tensor = graph.getInitializerBuilder(0);
    tensor
        .clearRawData()
        .setDataLocation(TensorProto.DataLocation.EXTERNAL)
        .addExternalData(entry("location", location))
        .addExternalData(entry("offset", String.valueOf(offset)))
        .addExternalData(entry("length", String.valueOf(length)));
    return model.build().toByteArray();
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  @Test
  void externalDataIsReadAndPartOfTheDigest() throws IOException {
    TensorProto original = ModelProto.parseFrom(bytesOf("conv")).getGraph().getInitializer(0);
    byte[] raw = original.getRawData().toByteArray();
    byte[] data = new byte[raw.length + 8];
    System.arraycopy(raw, 0, data, 8, raw.length);
    Files.write(folder.resolve("weights.bin"), data);
    Path file = write(withExternalData("weights.bin", 8, raw.length));
    OnnxModel model = load(file);
    assertArrayEquals(raw, model.proto().getGraph().getInitializer(0).getRawData().toByteArray());
    data[9] ^= 1;
    Files.write(folder.resolve("weights.bin"), data);
    assertNotEquals(model.digest(), load(file).digest());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "dynamo/"})
  void weightsBesideTheModelAreTheOnesThatWereExported(String folder) {
    RecordedModel recorded = RecordedModel.load(folder + "external_data");
    OnnxGraph graph = recorded.model().graph();
    assertFalse(recorded.linears().isEmpty());
    recorded
        .linears()
        .forEach(
            (key, linear) ->
                assertArrayEquals(
                    linear.weight(),
                    ConstantTensor.of(graph, key + ".weight").orElseThrow().values()));
  }

  @Test
  void externalDataOfConstantNodesIsRead() throws IOException {
    ModelProto.Builder model = ModelProto.parseFrom(bytesOf("conv")).toBuilder();
    GraphProto.Builder graph = model.getGraphBuilder();
    TensorProto weight = graph.getInitializer(0);
    Files.write(folder.resolve("weights.bin"), weight.getRawData().toByteArray());
    graph
        .removeInitializer(0)
        .addNode(
            0,
            NodeProto.newBuilder()
                .setOpType("Constant")
                .addOutput(weight.getName())
                .addAttribute(
                    AttributeProto.newBuilder()
                        .setName("value")
                        .setT(
                            weight.toBuilder()
                                .clearRawData()
                                .setDataLocation(TensorProto.DataLocation.EXTERNAL)
                                .addExternalData(entry("location", "weights.bin")))));
    OnnxModel loaded = load(write(model.build().toByteArray()));
    assertEquals(
        weight.getRawData(),
        loaded.proto().getGraph().getNode(0).getAttribute(0).getT().getRawData());
  }

  @Test
  void externalDataOfAnotherLengthThanTheShapesIsNamed() throws IOException {
    Files.write(folder.resolve("weights.bin"), new byte[100]);
    assertTrue(
        refusalOf(withExternalData("weights.bin", 0, 76))
            .contains("'features.0.weight' of shape [2, 1, 3, 3] has 76 bytes in 'weights.bin'"));
  }

  @Test
  void externalDataWithoutReadableOffsetIsNamed() throws IOException {
    Files.write(folder.resolve("weights.bin"), new byte[100]);
    ModelProto.Builder model =
        ModelProto.parseFrom(withExternalData("weights.bin", 0, 72)).toBuilder();
    model.getGraphBuilder().getInitializerBuilder(0).getExternalDataBuilder(1).setValue("two");
    assertTrue(
        refusalOf(model.build().toByteArray())
            .contains("'features.0.weight' has no readable offset"));
  }

  @Test
  void missingExternalDataIsNamed() throws IOException {
    String message = refusalOf(withExternalData("weights.bin", 0, 72));
    assertTrue(message.contains("weights.bin (tensor 'features.0.weight') is missing"), message);
  }

  @Test
  void truncatedExternalDataIsNamed() throws IOException {
    Files.write(folder.resolve("weights.bin"), new byte[50]);
    String message = refusalOf(withExternalData("weights.bin", 0, 72));
    assertTrue(message.contains("'weights.bin' holds 50 bytes"), message);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"../secret", "/etc/passwd", "a/../../b", "a\\\\..\\\\b", "file:///etc/passwd", ""})
  void externalDataElsewhereIsRefused(String location) throws IOException {
    String message = refusalOf(withExternalData(location, 0, 72));
    assertTrue(message.contains("expected a file beside the model"), message);
  }

  @Test
  void aConstantOfTheWrongSizeIsRefused() throws IOException {
    ModelProto.Builder model = ModelProto.parseFrom(bytesOf("only_linear")).toBuilder();
    TensorProto.Builder weight = model.getGraphBuilder().getInitializerBuilder(0);
    weight.setRawData(weight.getRawData().substring(4));
    OnnxModel loaded = load(write(model.build().toByteArray()));
    String message =
        assertThrows(
                InvalidInputException.class,
                () -> ConstantTensor.of(loaded.graph(), "lin.weight").orElseThrow().values())
            .getMessage();
    assertTrue(message.contains("holds 17 values instead of 18"), message);
  }

  @Test
  void aConstantBehindATransposeIsTransposed() {
    OnnxGraph graph = RecordedModel.load("unfolded").model().graph();
    float[] weight = ConstantTensor.of(graph, "query.weight").orElseThrow().values();
    ConstantTensor transposed = ConstantTensor.of(graph, "/query/Transpose_output_0").orElseThrow();
    assertEquals(java.util.List.of(8L, 6L), transposed.shape());
    assertEquals(weight[1], transposed.values()[6]);
    assertTrue(graph.isConstant("/query/Transpose_output_0"));
    assertFalse(graph.isConstant("/query/MatMul_output_0"));
  }
}
