package org.fhespark.compiler.split;

import ai.onnx.proto.OnnxMl.ModelProto;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.OnnxModel;

/**
 * A model cut at its remote modules.
 *
 * @param segments the clear segments by stage; stages without clear work have none
 * @param calls the remote calls by stage
 * @param floatModules each remote module in float by its key, an ONNX model with one input and one
 *     output, named as those of the module's first call
 */
public record GraphSplit(
    List<Segment> segments, List<RemoteCall> calls, Map<String, byte[]> floatModules) {

  /**
   * Cuts the model.
   *
   * @throws InvalidInputException if a clear node reads a remote weight too
   */
  public static GraphSplit of(
      OnnxModel model,
      ModuleTree tree,
      List<RemoteModule> modules,
      SplitPlan plan,
      ExposedModel types) {
    TiedWeights tied = new TiedWeights(model, tree, modules);
    List<Segment> segments = new ArrayList<>();
    plan.clearStages()
        .forEach(
            (stage, clear) -> {
              ModelProto proto =
                  Subgraph.of(model, clear.nodes(), clear.inputs(), clear.outputs(), types::info);
              tied.check(proto.getGraph());
              segments.add(
                  new Segment(
                      stage,
                      proto.toByteArray(),
                      List.copyOf(clear.inputs()),
                      List.copyOf(clear.outputs())));
            });
    Map<String, byte[]> floatModules = new LinkedHashMap<>();
    for (RemoteModule module : modules) {
      AffineCall layer = module.layer();
      floatModules.put(
          module.key(),
          Subgraph.of(
                  model,
                  layer.nodes(),
                  List.of(layer.input()),
                  List.of(layer.output()),
                  types::info)
              .toByteArray());
    }
    return new GraphSplit(segments, plan.calls(), floatModules);
  }
}
