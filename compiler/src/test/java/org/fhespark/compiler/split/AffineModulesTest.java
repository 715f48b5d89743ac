package org.fhespark.compiler.split;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.RecordedModel;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.quantize.Calibration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every module of the test models that PyTorch says is affine, by both exporters. */
class AffineModulesTest {
  private static final float TOLERANCE = 1e-4f;

  /**
   * Affine, but no map of one tensor's rows by weights: norms alone, pooling, a difference of two
   * inputs; or never called, or read by others past the module.
   */
  private static final Set<String> NO_PRODUCT =
      Set.of(
          "containers/merge",
          "opset23/merge",
          "conv_containers/pooled",
          "conv_containers/pooled.1",
          "linear_batch_norm/net.1",
          "linear_batch_norm/net.5",
          "merged_parameters/c",
          "patch_transformer/layer.self_attn.out_proj",
          "scaled/unused",
          "separate_norms/normalise",
          "separate_norms/after_sum");

  /**
   * Their weights are those of a clear module. (What tied_weights reads of probe's is a constant in
   * a Dynamo export.)
   */
  private static final Set<String> TIED =
      Set.of(
          "gpt/lm_head",
          "shared_conv/first",
          "shared_conv/second",
          "tied_head/head",
          "tied_weights/first",
          "tied_weights/second",
          "tied_weights/probe");

  /** What the exporter padded inside the convolution, PyTorch padded before it. */
  private static final Set<String> PADDED_BY_THE_CALLER =
      Set.of(
          "conv1d/causal.0.conv",
          "conv1d/causal.1.conv",
          "opset18/causal.0.conv",
          "opset18/causal.1.conv",
          "conv2d_kinds/asymmetric");

  static List<String> models() {
    return RecordedModel.all();
  }

  private static String path(String model, String key) {
    return model.replace("dynamo/", "") + "/" + key;
  }

  @ParameterizedTest
  @MethodSource("models")
  void affineModulesAreCutWhereForwardHooksSayTheyAre(String name) throws OrtException {
    RecordedModel recorded = RecordedModel.load(name);
    ModuleTree tree = recorded.tree();
    Set<String> cut = new HashSet<>(recorded.affine());
    cut.removeAll(recorded.folded().keySet());
    cut.removeIf(key -> NO_PRODUCT.contains(path(name, key)));
    for (String key : cut) {
      boolean folded = name.equals("dynamo/tied_weights") && key.equals("probe");
      if (TIED.contains(path(name, key)) && !folded) {
        String message =
            assertThrows(InvalidInputException.class, () -> run(recorded, tree, key)).getMessage();
        assertTrue(message.contains("the weight of module '" + key + "' is also read"), message);
        continue;
      }
      Cut result = run(recorded, tree, key);
      recorded
          .outputs()
          .forEach(
              (output, expected) ->
                  assertArrayEquals(
                      expected,
                      RecordedModel.values(result.tensors.get(output)),
                      TOLERANCE,
                      output));
      List<RecordedModel.Call> hooks = recorded.callsOf(key);
      assertEquals(hooks.size(), result.calls.size(), key);
      for (int i = 0; i < hooks.size(); i++) {
        if (!PADDED_BY_THE_CALLER.contains(path(name, key)) || !name.startsWith("dynamo/")) {
          assertArrayEquals(
              hooks.get(i).input(), values(result, result.calls.get(i).call().input()), TOLERANCE);
        }
        assertArrayEquals(
            hooks.get(i).output(), values(result, result.calls.get(i).call().output()), TOLERANCE);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void whatIsNoMapByWeightsIsRefusedInOneLine(String name) {
    RecordedModel recorded = RecordedModel.load(name);
    ModuleTree tree = recorded.tree();
    for (String key : recorded.modules()) {
      boolean affine = recorded.affine().contains(key);
      tree.modules().stream()
          .filter(module -> module.key().equals(key) && !module.canGoRemote())
          .forEach(
              module -> {
                assertFalse(
                    affine
                        && !NO_PRODUCT.contains(path(name, key))
                        && !recorded.folded().containsKey(key),
                    name + " " + key + ": " + module.refusal());
                assertEquals(1, module.refusal().lines().count(), module.refusal());
              });
    }
  }

  private record Cut(List<RemoteCall> calls, Map<String, OnnxTensor> tensors) {}

  private static float[] values(Cut cut, String tensor) {
    return RecordedModel.values(cut.tensors.get(tensor));
  }

  /** Cuts a module out, calibrates, which checks its map, and runs the parts. */
  private static Cut run(RecordedModel recorded, ModuleTree tree, String key) throws OrtException {
    List<RemoteModule> modules = RemoteModules.find(tree, List.of(key));
    SplitPlan plan = SplitPlan.of(recorded.model(), modules);
    try (ExposedModel exposed = new ExposedModel(recorded.model(), plan.boundaryTensors())) {
      GraphSplit split = GraphSplit.of(recorded.model(), tree, modules, plan, exposed);
      Calibration.run(
          recorded.model(),
          exposed,
          split.calls(),
          split.lookups(),
          Optional.empty(),
          List.of(recorded.calibrationBatch()));
      return new Cut(split.calls(), GraphSplitTest.run(recorded, split));
    }
  }
}
