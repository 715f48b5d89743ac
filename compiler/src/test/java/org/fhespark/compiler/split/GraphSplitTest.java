package org.fhespark.compiler.split;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.RecordedModel;
import org.fhespark.compiler.TestGraph;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.OnnxModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class GraphSplitTest {
  private static final float TOLERANCE = 2e-5f;

  /** Every plain model, cut at each of its Linears alone and at all of them. */
  static Stream<Arguments> cuts() {
    return RecordedModel.PLAIN.stream()
        .flatMap(
            name -> {
              List<String> keys = List.copyOf(RecordedModel.load(name).linears().keySet());
              return Stream.concat(keys.stream().map(List::of), Stream.of(keys))
                  .map(cut -> Arguments.of(name, cut));
            });
  }

  private static GraphSplit split(OnnxModel model, List<String> keys) {
    ModuleTree tree = ModuleTree.of(model);
    List<RemoteModule> modules = RemoteModules.find(tree, keys);
    SplitPlan plan = SplitPlan.of(model, modules);
    try (ExposedModel exposed = new ExposedModel(model, plan.boundaryTensors())) {
      return GraphSplit.of(model, tree, modules, plan, exposed);
    }
  }

  private static GraphSplit split(String model, String... keys) {
    return split(RecordedModel.load(model).model(), List.of(keys));
  }

  private static String refusalOf(String model, String... keys) {
    String message =
        assertThrows(InvalidInputException.class, () -> split(model, keys)).getMessage();
    assertEquals(1, message.lines().count(), message);
    return message;
  }

  /** Runs the segments and, between them, the remote modules in float. */
  static Map<String, OnnxTensor> run(RecordedModel recorded, GraphSplit split) throws OrtException {
    Map<String, OnnxTensor> tensors = recorded.tensors();
    int stages = split.calls().stream().mapToInt(RemoteCall::stage).max().orElse(-1) + 1;
    for (int stage = 0; stage <= stages; stage++) {
      for (Segment segment : split.segments()) {
        if (segment.stage() == stage) {
          assertTrue(tensors.keySet().containsAll(segment.inputs()));
          RecordedModel.runInto(segment.model(), tensors);
        }
      }
      for (RemoteCall call : split.calls()) {
        if (call.stage() == stage) {
          RemoteCall first =
              split.calls().stream()
                  .filter(other -> other.module().equals(call.module()))
                  .findFirst()
                  .orElseThrow();
          Map<String, OnnxTensor> one = new java.util.HashMap<>();
          one.put(first.call().input(), tensors.get(call.call().input()));
          RecordedModel.runInto(split.floatModules().get(call.module()), one);
          tensors.put(call.call().output(), one.get(first.call().output()));
        }
      }
    }
    return tensors;
  }

  @ParameterizedTest
  @MethodSource("cuts")
  void theCutModelComputesWhatPyTorchDoes(String name, List<String> keys) throws OrtException {
    RecordedModel recorded = RecordedModel.load(name);
    Map<String, OnnxTensor> tensors = run(recorded, split(recorded.model(), keys));
    for (Map.Entry<String, float[]> output : recorded.outputs().entrySet()) {
      assertArrayEquals(
          output.getValue(), RecordedModel.values(tensors.get(output.getKey())), TOLERANCE);
    }
  }

  @ParameterizedTest
  @MethodSource("cuts")
  void cutTensorsAreWhatForwardHooksSaw(String name, List<String> keys) throws OrtException {
    RecordedModel recorded = RecordedModel.load(name);
    GraphSplit split = split(recorded.model(), keys);
    Map<String, OnnxTensor> tensors = run(recorded, split);
    for (String key : keys) {
      List<RemoteCall> calls =
          split.calls().stream().filter(call -> call.module().equals(key)).toList();
      List<RecordedModel.Call> hooks = recorded.callsOf(key);
      assertEquals(hooks.size(), calls.size());
      for (int i = 0; i < calls.size(); i++) {
        assertArrayEquals(
            hooks.get(i).input(),
            RecordedModel.values(tensors.get(calls.get(i).call().input())),
            TOLERANCE,
            key);
        assertArrayEquals(
            hooks.get(i).output(),
            RecordedModel.values(tensors.get(calls.get(i).call().output())),
            TOLERANCE,
            key);
      }
    }
  }

  /** A model in which a node of stage 0 makes a tensor of a type that stage 1 reads. */
  private static OnnxModel passing(TensorProto.DataType type, String operator) {
    float[] weights = {1, 2, 3, 4};
    AttributeProto[] toType = {TestGraph.number("to", type.getNumber())};
    AttributeProto[] toFloat = {TestGraph.number("to", TensorProto.DataType.FLOAT_VALUE)};
    return new TestGraph()
        .input("x", -1, 2)
        .output("y", -1, 2)
        .floats("a.weight", weights, 2, 2)
        .node("/mask/Cast", List.of("x"), "kept", toType)
        .node("/a/MatMul", List.of("x", "a.weight"), "h")
        .node("/Cast_1", List.of("h"), "t", toType)
        .node("/" + operator, List.of("t", "kept"), "masked")
        .node("/Cast_2", List.of("masked"), "y", toFloat)
        .model();
  }

  @Test
  void masksOfBooleansPassBetweenSegments() {
    GraphSplit split = split(passing(TensorProto.DataType.BOOL, "And"), List.of("a"));
    assertEquals(List.of("kept"), split.segments().get(0).outputs());
    assertTrue(split.segments().get(1).inputs().contains("kept"));
  }

  @Test
  void aTensorOfATypeThatClientsDoNotHoldIsRefusedByName() {
    OnnxModel model = passing(TensorProto.DataType.FLOAT16, "Mul");
    String message =
        assertThrows(InvalidInputException.class, () -> split(model, List.of("a"))).getMessage();
    assertEquals(1, message.lines().count(), message);
    assertTrue(
        message.contains("tensor 'kept' of node '/mask/Cast'") && message.contains("is FLOAT16"),
        message);
  }

  @Test
  void aLayerWithAFoldedBatchNormIsCutBehindTheNorm() throws OrtException {
    cutTensorsAreWhatForwardHooksSaw("dynamo/linear_batch_norm", List.of("net.0", "net.4"));
  }

  @ParameterizedTest
  @MethodSource("cuts")
  void segmentsPassOnExactlyWhatIsReadLater(String name, List<String> keys) {
    RecordedModel recorded = RecordedModel.load(name);
    GraphSplit split = split(recorded.model(), keys);
    Set<String> read = new HashSet<>(recorded.outputs().keySet());
    split.calls().forEach(call -> read.add(call.call().input()));
    split.segments().forEach(segment -> read.addAll(segment.inputs()));
    Set<String> made = new HashSet<>(recorded.inputs().keySet());
    split.calls().forEach(call -> made.add(call.call().output()));
    for (Segment segment : split.segments()) {
      assertTrue(read.containsAll(segment.outputs()), segment.outputs() + " of " + read);
      made.addAll(segment.outputs());
      assertFalse(segment.outputs().isEmpty());
    }
    assertTrue(made.containsAll(read));
  }

  @ParameterizedTest
  @MethodSource("cuts")
  void noSegmentHoldsARemoteWeight(String name, List<String> keys) throws IOException {
    RecordedModel recorded = RecordedModel.load(name);
    for (Segment segment : split(recorded.model(), keys).segments()) {
      ModelProto proto = ModelProto.parseFrom(segment.model());
      for (TensorProto tensor : proto.getGraph().getInitializerList()) {
        for (String key : keys) {
          assertFalse(tensor.getName().equals(key + ".weight"), tensor.getName());
        }
      }
    }
  }

  @Test
  void parallelModulesShareAStageAndDependentOnesFollow() {
    GraphSplit split = split("rank3", "query", "key", "value", "dense");
    assertEquals(
        List.of("query 0", "key 0", "value 0", "dense 1"),
        split.calls().stream().map(call -> call.module() + " " + call.stage()).toList());
    assertEquals(List.of(1, 2), split.segments().stream().map(Segment::stage).toList());
    assertEquals(
        List.of("/query/Add_output_0", "/key/Add_output_0", "/value/MatMul_output_0"),
        split.calls().subList(0, 3).stream().map(call -> call.call().output()).toList());
  }

  @Test
  void aClearTensorFromBeforeARemoteModuleIsHandedAround() {
    GraphSplit split = split("residual", "down");
    assertEquals(2, split.segments().size());
    Segment before = split.segments().get(0);
    // gate needs y1 alone, so it runs early; y1 is an output of the model and the residual.
    assertEquals(Set.of("y1", "/Relu_output_0", "/Sigmoid_output_0"), Set.copyOf(before.outputs()));
    assertEquals(
        Set.of("y1", "/down/Gemm_output_0", "/Sigmoid_output_0"),
        Set.copyOf(split.segments().get(1).inputs()));
  }

  @Test
  void aModelThatIsOneLinearHasOnlyTheSegmentOfItsOtherOutput() {
    GraphSplit split = split("only_linear", "lin");
    assertEquals("x", split.calls().get(0).call().input());
    assertEquals("y0", split.calls().get(0).call().output());
    assertEquals(1, split.segments().size());
    assertEquals(List.of("y1"), split.segments().get(0).outputs());
    assertEquals(0, split.segments().get(0).stage());
  }

  @Test
  void emptySegmentsAreLeftOut() {
    GraphSplit split = split("no_bias", "first", "second");
    assertEquals(List.of(1), split.segments().stream().map(Segment::stage).toList());
  }

  @Test
  void aModuleCalledTwiceIsOneModuleOfTwoStages() {
    GraphSplit split = split("shared_twice", "shared");
    assertEquals(List.of(0, 1), split.calls().stream().map(RemoteCall::stage).toList());
    assertEquals(Set.of("shared"), split.floatModules().keySet());
  }

  @Test
  void aWeightThatAClearModuleSharesIsRefused() {
    String message = refusalOf("tied_weights", "first");
    assertEquals(
        "tied_weights.onnx: the weight of module 'first' is also read by node '/second/Gemm' of"
            + " module 'second', which stays in clear; make both remote, keep both clear, or untie"
            + " the weights before the export",
        message);
  }

  @Test
  void aWeightThatAFunctionReadsIsRefused() {
    assertTrue(refusalOf("tied_weights", "probe").contains("read by node '/ReduceSum'"));
  }

  @Test
  void modulesThatShareAWeightCanGoRemoteTogether() throws OrtException {
    RecordedModel recorded = RecordedModel.load("tied_weights");
    Map<String, OnnxTensor> tensors =
        run(recorded, split(recorded.model(), List.of("first", "second")));
    assertArrayEquals(recorded.outputs().get("y"), RecordedModel.values(tensors.get("y")), 1e-3f);
  }

  @Test
  void aTransposedCopyOfAClearWeightIsRefused() {
    assertTrue(
        refusalOf("tied_head", "head")
            .contains("read by node '/embedding/Gather' of module 'embedding'"));
    assertEquals(1, split("tied_head", "dense").calls().size());
  }

  @Test
  void aContainerIsRefusedWithItsLinearsAsAWayOut() {
    assertEquals(
        "module 'encoder.layer.0.attention' cannot go remote: contains MatMul at node"
            + " /encoder/layer.0/attention/self/MatMul: it multiplies two activations; name its linear"
            + " modules instead: encoder.layer.0.attention.self.query,"
            + " encoder.layer.0.attention.self.key, encoder.layer.0.attention.self.value,"
            + " encoder.layer.0.attention.output",
        refusalOf("transformer", "encoder.layer.0.attention"));
  }

  @Test
  void aRefusalHasOneWayOut() {
    assertEquals(
        "module '.' cannot go remote: contains Softmax at node /Softmax: look-ups compute affine"
            + " operators, functions of single values and maxima; name its linear modules instead:"
            + " seq.0, seq.2.0, seq.3, head; or, with their non-linearities: seq",
        refusalOf("nested_sequential", "."));
  }

  @Test
  void keysAreNamedOnceAndAtLeastOneIs() {
    assertTrue(refusalOf("conv", "classifier", "classifier").contains("named twice"));
    assertTrue(refusalOf("shared_block", "a", "heads.a").contains("are the same module"));
    assertTrue(refusalOf("conv").contains("no remote module was named"));
  }

  @Test
  void aModuleThatNoOutputNeedsIsRefused(@TempDir Path folder) throws IOException {
    ModelProto.Builder proto = RecordedModel.load("module_dict").model().proto().toBuilder();
    proto.getGraphBuilder().removeOutput(1);
    Path file = Files.write(folder.resolve("m.onnx"), proto.build().toByteArray());
    OnnxModel model =
        OnnxModel.load(new org.apache.hadoop.fs.Path(file.toString()), new Configuration());
    String message =
        assertThrows(InvalidInputException.class, () -> split(model, List.of("heads.b")))
            .getMessage();
    assertTrue(message.contains("no output depends on module 'heads.b'"), message);
    GraphSplit other = split(model, List.of("body"));
    List<String> initializers = new ArrayList<>();
    for (Segment segment : other.segments()) {
      ModelProto.parseFrom(segment.model())
          .getGraph()
          .getInitializerList()
          .forEach(tensor -> initializers.add(tensor.getName()));
    }
    assertEquals(Set.of("heads.a.weight", "heads.a.bias"), Set.copyOf(initializers));
  }

  @Test
  void whatIsHiddenInDocumentationAndMetadataStaysBehind(@TempDir Path folder) throws IOException {
    ByteString secret = ByteString.copyFromUtf8("the weights are 1 2 3");
    String text = secret.toStringUtf8();
    ModelProto.Builder proto = RecordedModel.load("nested_sequential").model().proto().toBuilder();
    StringStringEntryProto entry =
        StringStringEntryProto.newBuilder().setKey("k").setValue(text).build();
    UnknownFieldSet unknown =
        UnknownFieldSet.newBuilder()
            .addField(99, UnknownFieldSet.Field.newBuilder().addLengthDelimited(secret).build())
            .build();
    proto.setDocString(text).addMetadataProps(entry).setUnknownFields(unknown);
    proto.getGraphBuilder().setDocString(text).addMetadataProps(entry).setUnknownFields(unknown);
    proto
        .getGraphBuilder()
        .getNodeBuilderList()
        .forEach(
            node -> {
              node.setDocString(text).addMetadataProps(entry).setUnknownFields(unknown);
              node.getAttributeBuilderList()
                  .forEach(attribute -> attribute.setDocString(text).setUnknownFields(unknown));
            });
    proto
        .getGraphBuilder()
        .getInitializerBuilderList()
        .forEach(tensor -> tensor.setDocString(text).setUnknownFields(unknown));
    Path file = Files.write(folder.resolve("m.onnx"), proto.build().toByteArray());
    OnnxModel model =
        OnnxModel.load(new org.apache.hadoop.fs.Path(file.toString()), new Configuration());
    for (Segment segment : split(model, List.of("seq.0")).segments()) {
      String bytes = new String(segment.model(), java.nio.charset.StandardCharsets.ISO_8859_1);
      assertFalse(bytes.contains(text));
    }
  }

  @Test
  void aPatternStandsForTheModulesThatFitInTheOrderOfTheGraph() {
    ModuleTree tree = ModuleTree.of(RecordedModel.load("bert").model());
    List<String> keys =
        RemoteModules.find(tree, List.of("pooler.dense", "encoder.layer.*.attention.self.*e*"))
            .stream()
            .map(RemoteModule::key)
            .toList();
    assertEquals(
        List.of(
            "pooler.dense",
            "encoder.layer.0.attention.self.query",
            "encoder.layer.0.attention.self.key",
            "encoder.layer.0.attention.self.value",
            "encoder.layer.1.attention.self.query",
            "encoder.layer.1.attention.self.key",
            "encoder.layer.1.attention.self.value"),
        keys);
  }

  @Test
  void patternsThatFitNothingOrTooMuchAreRefused() {
    assertTrue(refusalOf("bert", "encoder.*.query").contains("no module fits 'encoder.*.query'"));
    assertTrue(refusalOf("bert", "pooler.dense", "pooler.d*").contains("named twice"));
    assertTrue(refusalOf("bert", "encoder.layer.*").contains("cannot go remote"));
    assertTrue(refusalOf("bert", "pooler.*+encoder.*").contains("joins modules by patterns"));
    String dense = "encoder.layer.0.output.dense";
    assertTrue(refusalOf("bert", "encoder.layer.0.intermediate+" + dense, dense).contains(dense));
    assertTrue(
        refusalOf("nested_sequential", "seq.*")
            .endsWith("; it fits 'seq.*': name those that can: seq.0, seq.2, seq.3"));
  }
}
