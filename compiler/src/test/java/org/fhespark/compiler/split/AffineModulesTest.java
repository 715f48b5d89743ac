package org.fhespark.compiler.split;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import java.util.List;
import java.util.Map;
import org.fhespark.compiler.RecordedModel;
import org.fhespark.compiler.modules.ModuleInfo;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ExposedModel;
import org.junit.jupiter.api.Test;

class AffineModulesTest {
  @Test
  void probe() {
    for (String name : RecordedModel.all()) {
      RecordedModel recorded = RecordedModel.load(name);
      ModuleTree tree = recorded.tree();
      for (String key : recorded.affine()) {
        try {
          ModuleInfo info = tree.find(key);
          long hooks = recorded.calls().stream().filter(c -> c.module().equals(key)).count();
          if (!info.canGoRemote()) {
            System.err.println(
                "ZOO " + name + " " + key + " " + info.kind() + " REFUSED " + info.refusal());
          } else if (hooks != info.calls().size()) {
            System.err.println(
                "ZOO " + name + " " + key + " hooks " + hooks + " calls " + info.calls().size());
          } else {
            check(recorded, tree, key);
          }
        } catch (Throwable e) {
          System.err.println("ZOO " + name + " " + key + " ERROR " + e);
          if (e instanceof RuntimeException r
              && !(e instanceof org.fhespark.InvalidInputException)) {
            System.err.println("ZOO    at " + r.getStackTrace()[0] + r.getStackTrace()[1]);
          }
        }
      }
    }
  }

  private static void check(RecordedModel recorded, ModuleTree tree, String key)
      throws OrtException {
    List<RemoteModule> modules = RemoteModules.find(tree, List.of(key));
    SplitPlan plan = SplitPlan.of(recorded.model(), modules);
    try (ExposedModel exposed = new ExposedModel(recorded.model(), plan.boundaryTensors())) {
      GraphSplit split = GraphSplit.of(recorded.model(), tree, modules, plan, exposed);
      org.fhespark.compiler.quantize.Calibration.run(
          recorded.model(), exposed, split.calls(), List.of(recorded.calibrationBatch()));
      Map<String, OnnxTensor> tensors = GraphSplitTest.run(recorded, split);
      for (Map.Entry<String, float[]> output : recorded.outputs().entrySet()) {
        assertArrayEquals(
            output.getValue(), RecordedModel.values(tensors.get(output.getKey())), 1e-4f);
      }
      List<RecordedModel.Call> hooks =
          recorded.calls().stream().filter(call -> call.module().equals(key)).toList();
      for (int i = 0; i < hooks.size(); i++) {
        RemoteCall call = split.calls().get(i);
        assertArrayEquals(
            hooks.get(i).input(),
            RecordedModel.values(tensors.get(call.call().input())),
            1e-4f,
            "input");
        assertArrayEquals(
            hooks.get(i).output(),
            RecordedModel.values(tensors.get(call.call().output())),
            1e-4f,
            "output");
      }
    }
  }
}
