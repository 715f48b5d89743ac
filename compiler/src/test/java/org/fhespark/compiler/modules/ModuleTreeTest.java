package org.fhespark.compiler.modules;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.ModelProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.RecordedModel;
import org.fhespark.compiler.TestGraph;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ModuleTreeTest {
  /** Embeddings of positions, which are the same for every input. */
  private static final Set<String> CONSTANT_CALLS = Set.of("transformer.wpe");

  static List<String> plainModels() {
    return RecordedModel.PLAIN;
  }

  static List<String> allModels() {
    return RecordedModel.all();
  }

  static List<String> dynamoModels() {
    return RecordedModel.all().stream().filter(name -> name.startsWith("dynamo/")).toList();
  }

  private static ModuleTree tree(String model) {
    return RecordedModel.load(model).tree();
  }

  private static String refusal(String model, String key) {
    return tree(model).find(key).refusal();
  }

  private static String errorOf(String model, String key) {
    ModuleTree tree = tree(model);
    String message = assertThrows(InvalidInputException.class, () -> tree.find(key)).getMessage();
    assertEquals(1, message.lines().count());
    return message;
  }

  @ParameterizedTest
  @MethodSource("plainModels")
  void everyLinearIsFoundByItsKeyWithPyTorchsWeightsAndNumberOfCalls(String name) {
    RecordedModel recorded = RecordedModel.load(name);
    ModuleTree tree = recorded.tree();
    recorded
        .linears()
        .forEach(
            (key, linear) -> {
              ModuleInfo module = tree.find(key);
              assertEquals(ModuleKind.LINEAR, module.kind(), key);
              assertTrue(module.canGoRemote());
              long calls = recorded.calls().stream().filter(c -> c.module().equals(key)).count();
              assertEquals(calls, module.calls().size(), key);
              for (AffineCall call : module.calls()) {
                assertArrayEquals(linear.weight(), call.weights(), key);
                assertArrayEquals(linear.bias(), call.biases().orElse(null), key);
              }
            });
  }

  @ParameterizedTest
  @MethodSource("allModels")
  void onlyKeysOfNamedModulesAreListed(String name) {
    // A ModuleDict that no parameter names cannot be known from node names; find() understands the
    // full key of a module that can go remote.
    Set<String> unknowable = name.startsWith("dynamo/") ? Set.of() : Set.of("a", "pad");
    RecordedModel recorded = RecordedModel.load(name);
    Set<String> listed =
        recorded.tree().modules().stream()
            .map(ModuleInfo::key)
            .collect(Collectors.toCollection(TreeSet::new));
    listed.removeAll(unknowable);
    assertTrue(recorded.modules().containsAll(listed), listed + " " + recorded.modules());
  }

  @ParameterizedTest
  @MethodSource("dynamoModels")
  void dynamoTellsTheClassOfEveryModuleThatIsCalledAndNotFolded(String name) {
    RecordedModel recorded = RecordedModel.load(name);
    ModuleTree tree = recorded.tree();
    Map<String, String> classes = new LinkedHashMap<>();
    recorded.calls().forEach(call -> classes.put(call.module(), ""));
    classes.replaceAll((key, unused) -> recorded.classes().get(key));
    classes.keySet().removeAll(CONSTANT_CALLS);
    classes.keySet().removeAll(recorded.folded().values());
    Map<String, String> told = new LinkedHashMap<>();
    classes.keySet().forEach(key -> told.put(key, tree.className(key).orElse("unknown")));
    assertEquals(classes, told);
  }

  @Test
  void theListTellsKindsShapesAndWhatCanGoRemote() {
    Map<String, ModuleInfo> modules =
        tree("conv").modules().stream().collect(Collectors.toMap(ModuleInfo::key, m -> m));
    assertEquals(
        Set.of("features", "features.0", "features.1", "features.2", "classifier"),
        modules.keySet());
    assertEquals(ModuleKind.CONTAINER, modules.get("features").kind());
    ModuleInfo conv = modules.get("features.0");
    assertEquals(ModuleKind.CONVOLUTION, conv.kind());
    assertEquals(List.of("Conv"), conv.operators());
    assertEquals(
        Map.of("features.0.weight", List.of(2L, 1L, 3L, 3L), "features.0.bias", List.of(2L)),
        conv.parameters());
    assertTrue(conv.canGoRemote());
    assertEquals(ModuleKind.OPERATOR, modules.get("features.2").kind());
    assertEquals(
        "holds no product by weights: there is nothing to hide or to save",
        modules.get("features.2").refusal());
    assertEquals(
        Map.of("classifier.weight", List.of(3L, 8L), "classifier.bias", List.of(3L)),
        modules.get("classifier").parameters());
  }

  /** Its weight has lost its name: the exporter folded a BatchNorm into it. */
  @Test
  void aGroupedConvolutionIsListedWithTheShapeOfItsOwnWeight() {
    OnnxModel model =
        new TestGraph()
            .input("x", -1, 4, 5, 5)
            .output("y", -1, 4, 3, 3)
            .floats("onnx::Conv_1", new float[36], 4, 1, 3, 3)
            .node(
                "/dw/Conv",
                List.of("x", "onnx::Conv_1"),
                "y",
                TestGraph.number("group", 4),
                TestGraph.ints("kernel_shape", 3, 3))
            .model();
    assertEquals(
        Map.of("dw.weight", List.of(4L, 1L, 3L, 3L)), ModuleTree.of(model).find("dw").parameters());
  }

  @Test
  void parentsComeBeforeChildrenInTheOrderOfTheGraph() {
    assertEquals(
        List.of("seq", "seq.0", "seq.1", "seq.2", "seq.2.0", "seq.2.2", "seq.3", "head"),
        tree("nested_sequential").modules().stream().map(ModuleInfo::key).toList());
  }

  @Test
  void shapesArePyTorchsEvenWhereTheExporterTransposedTheWeight() {
    assertEquals(
        Map.of("query.weight", List.of(6L, 8L), "query.bias", List.of(6L)),
        tree("rank3").find("query").parameters());
    assertEquals(Map.of("value.weight", List.of(6L, 8L)), tree("rank3").find("value").parameters());
  }

  @Test
  void aSecondCallIsNoModuleButAModuleOfThatNameIs() {
    ModuleTree both = tree("named_lin_1");
    assertEquals(2, both.find("lin").calls().size());
    assertEquals(1, both.find("lin_1").calls().size());
    assertTrue(errorOf("shared_twice", "shared_1").contains("no module 'shared_1'"));
  }

  @Test
  void secondCallsWithoutParameterNamesAreToldByTheirWeights() {
    ModuleTree tree = tree("shared_block");
    assertEquals(2, tree.find("plain").calls().size());
    assertEquals(2, tree.find("block.2").calls().size());
    assertFalse(
        tree.modules().stream().anyMatch(module -> module.key().endsWith("_1")),
        tree.modules().toString());
  }

  @Test
  void aModuleDictThatNothingNamesIsUnderstoodInAKey() {
    ModuleInfo module = tree("shared_block").find("heads.a");
    assertEquals("heads.a", module.key());
    assertEquals(Map.of("heads.a.weight", List.of(4L, 6L)), module.parameters());
  }

  @Test
  void theDeepestKeyWinsOverOneThatAlsoFits() {
    ModuleTree tree = tree("layered");
    assertEquals("/conv1/Gemm_output_0", tree.find("conv1").calls().get(0).output());
    assertEquals(
        "/layer1/layer1.1/conv1/Gemm_output_0",
        tree.find("layer1.1.conv1").calls().get(0).output());
  }

  @Test
  void parametersMergedByTheExporterKeepTheirModulesApart() {
    RecordedModel recorded = RecordedModel.load("merged_parameters");
    for (String key : List.of("a", "b", "rows.0.0", "seq.0.z")) {
      assertArrayEquals(
          recorded.linears().get(key).weight(), recorded.tree().find(key).calls().get(0).weights());
    }
    assertEquals(List.of("LayerNormalization"), recorded.tree().find("n2").operators());
  }

  @Test
  void aModuleWhoseParametersAreOnlyReadElsewhereCannotGoRemote() {
    assertTrue(refusal("merged_parameters", "c").contains("never called"));
  }

  @Test
  void aContainerWithANonLinearityGoesRemoteByLookups() {
    ModuleInfo seq = tree("nested_sequential").find("seq");
    assertTrue(seq.canGoRemote());
    assertEquals(List.of(), seq.calls());
    assertEquals(1, seq.lookups().size());
    assertEquals(ModuleKind.CONTAINER, seq.kind());
    assertTrue(tree("conv").find("features").canGoRemote());
  }

  @Test
  void whatNeitherMapsNorLookupsComputeIsRefusedWithItsNode() {
    assertTrue(refusal("transformer", "encoder.layer.0.norm").contains("LayerNormalization"));
    assertEquals(
        "contains Softmax at node node_softmax: look-ups compute affine operators, functions of"
            + " single values and maxima",
        refusal("dynamo/nested_sequential", "."));
    assertEquals(
        "contains MatMul at node /encoder/layer.0/attention/self/MatMul: it multiplies two"
            + " activations",
        refusal("transformer", "encoder.layer.0.attention"));
    assertEquals(
        "makes several tensors that others read, 'code', 'y'; a remote part makes one",
        refusal("auto_encoder", "."));
  }

  @Test
  void theModelItselfIsAModule() {
    ModuleTree tree = tree("conv");
    assertEquals(ModuleTree.WHOLE_MODEL, tree.find("").key());
    assertEquals(tree.find("."), tree.find(""));
    assertEquals(1, tree.find(".").lookups().size());
    assertEquals(1, tree("linear_batch_norm").find(".").parts().size());
  }

  @Test
  void productsThatAreScaledOrFollowOneAnotherAreOneMap() {
    ModuleTree tree = tree("scaled");
    assertTrue(tree.find("scaled").canGoRemote());
    AffineCall two = tree.find("two").calls().get(0);
    assertEquals(6, two.dIn());
    assertEquals(6, two.dOut());
    assertTrue(tree.find("lin").canGoRemote());
  }

  @Test
  void anUnknownKeyListsNearMatches() {
    assertEquals(
        "nested_sequential.onnx: no module 'seq.4'; did you mean seq.0, seq.2, seq.3?"
            + " `fhe-spark modules` lists all of them",
        errorOf("nested_sequential", "seq.4"));
    assertTrue(errorOf("transformer", "query").contains("encoder.layer.0.attention.self.query"));
  }

  @Test
  void aFoldedBatchNormIsListedAndItsLayerOwnsTheNode() {
    assertEquals("the exporter folded it into 'conv1'", refusal("dynamo/resnet", "bn1"));
    assertEquals(
        "the exporter folded it into 'layer2.0.downsample.0'",
        refusal("dynamo/resnet", "layer2.0.downsample.1"));
    assertEquals(
        Map.of("conv1.weight", List.of(4L, 2L, 3L, 3L), "conv1.bias", List.of(4L)),
        tree("dynamo/resnet").find("conv1").parameters());
    assertEquals(List.of("Conv"), tree("dynamo/resnet").find("layer2.0.downsample.0").operators());
    assertTrue(tree("dynamo/linear_batch_norm").find("net.4").canGoRemote());
  }

  @Test
  void aTensorNamedAfterAnEqualParameterBelongsToTheModuleThatReadsIt() {
    ModuleTree tree = tree("dynamo/merged_parameters");
    assertEquals(
        List.of("a", "n1", "b", "n2", "rows", "rows.0", "rows.0.0", "seq", "seq.0", "seq.0.z", "c"),
        tree.modules().stream().map(ModuleInfo::key).toList());
    assertEquals(List.of("MatMul", "Add"), tree.find("b").operators());
    assertTrue(tree.find("c").refusal().contains("never called"));
  }

  @Test
  void aNodeWithoutScopesBelongsToTheModuleAroundItsNeighbours() {
    RecordedModel recorded = RecordedModel.load("dynamo/gpt");
    OnnxGraph graph = recorded.model().graph();
    ModuleTree tree = recorded.tree();
    List<String> owners =
        IntStream.range(0, graph.nodeCount())
            .filter(i -> graph.node(i).getOpType().equals("Split"))
            .mapToObj(tree::owner)
            .toList();
    assertEquals(List.of("transformer.h.0.attn", "transformer.h.1.attn"), owners);
  }

  @Test
  void nodesWithoutModuleNamesAreRefused(@TempDir Path folder) throws IOException {
    ModelProto.Builder model = RecordedModel.load("conv").model().proto().toBuilder();
    model.getGraphBuilder().getNodeBuilderList().forEach(node -> node.clearName());
    Path file = Files.write(folder.resolve("bare.onnx"), model.build().toByteArray());
    OnnxModel bare =
        OnnxModel.load(new org.apache.hadoop.fs.Path(file.toString()), new Configuration());
    String message =
        assertThrows(InvalidInputException.class, () -> ModuleTree.of(bare)).getMessage();
    assertTrue(message.startsWith("bare.onnx: its nodes carry no module names;"), message);
  }

  @Test
  void joinedKeysAreOneModuleOfAllThatTheyCompute() {
    ModuleTree tree = tree("bert");
    String layer = "encoder.layer.0.";
    ModuleInfo block = tree.find(layer + "intermediate+" + layer + "output.dense");
    assertTrue(block.canGoRemote(), block.refusal());
    assertEquals(List.of(), block.calls());
    assertEquals(1, block.lookups().size());
    ModuleInfo first = tree.find(layer + "intermediate");
    ModuleInfo last = tree.find(layer + "output.dense");
    assertEquals(first.lookups().get(0).input(), block.lookups().get(0).input());
    assertEquals(last.calls().get(0).output(), block.lookups().get(0).output());
    ModuleInfo linear = tree("nested_sequential").find("seq.2+seq.3");
    assertTrue(linear.canGoRemote(), linear.refusal());
  }

  @Test
  void whatCannotBeJoinedIsToldWhy() {
    String layer = "encoder.layer.0.";
    String key = layer + "attention.self.query";
    assertTrue(errorOf("bert", key + "+" + key).contains("is in it twice"));
    assertTrue(errorOf("bert", key + "+.").contains("name '.' alone"));
    assertTrue(errorOf("bert", key + "+nothing").contains("no module 'nothing'"));
    assertTrue(errorOf("shared_block", "block+block").contains("times, and what is joined"));
    String apart = refusal("bert", key + "+" + layer + "output.dense");
    assertFalse(apart.isEmpty());
  }
}
