package org.fhespark.compiler.split;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnxruntime.OnnxJavaType;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.OnnxModel;

/**
 * A model cut at its remote modules.
 *
 * @param segments the clear segments by stage; stages without clear work have none
 * @param calls the remote calls of affine modules by stage
 * @param lookups the remote calls of modules that need look-ups by stage
 * @param floatModules each remote module in float by its key, an ONNX model with one input and one
 *     output, named as those of the module's first call
 */
public record GraphSplit(
    List<Segment> segments,
    List<RemoteCall> calls,
    List<LookupCall> lookups,
    Map<String, byte[]> floatModules) {

  /**
   * Cuts the model.
   *
   * @throws InvalidInputException if a clear node reads a remote weight too, or a tensor between
   *     parts is of a type that clients do not hold
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
              clear.inputs().forEach(tensor -> requireHeld(model, tree, tensor, types));
              clear.outputs().forEach(tensor -> requireHeld(model, tree, tensor, types));
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
      floatModules.put(module.key(), FloatModule.of(model, module, types::info).toByteArray());
    }
    return new GraphSplit(segments, plan.calls(), plan.lookups(), floatModules);
  }

  private static void requireHeld(
      OnnxModel model, ModuleTree tree, String tensor, ExposedModel types) {
    OnnxJavaType type = types.info(tensor).type;
    if (Segment.TENSOR_TYPES.contains(type)) {
      return;
    }
    int producer = model.graph().producer(tensor);
    String owner = producer < 0 ? "" : tree.owner(producer);
    throw new InvalidInputException(
        model.file()
            + ": tensor '"
            + tensor
            + "'"
            + (producer < 0 ? "" : " of node '" + model.graph().node(producer).getName() + "'")
            + (owner.isEmpty() ? "" : " of module '" + owner + "'")
            + " is "
            + type
            + " and passes between parts of the split model, which take FLOAT, DOUBLE, INT32,"
            + " INT64, BOOL, INT8 and UINT8; export the model with another type there, or make"
            + " other modules remote");
  }
}
