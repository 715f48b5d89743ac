package org.fhespark.compiler.split;

import ai.onnx.proto.OnnxMl.GraphProto;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.modules.LinearCall;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ConstantTensor;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/**
 * Finds remote weights in clear segments. Exporters give tied weights one tensor, or a transposed
 * copy to one of the readers; so names are compared, and values.
 */
final class TiedWeights {
  private final OnnxModel model;
  private final OnnxGraph graph;
  private final ModuleTree tree;
  private final Map<String, Remote> remote = new LinkedHashMap<>();
  private final Set<Integer> remoteNodes = new HashSet<>();

  /**
   * A remote weight.
   *
   * @param names the names it has in the file
   * @param elements how many values
   * @param fingerprint of the values, whatever their order
   */
  private record Remote(Set<String> names, long elements, long fingerprint) {}

  TiedWeights(OnnxModel model, ModuleTree tree, List<RemoteModule> modules) {
    this.model = model;
    this.graph = model.graph();
    this.tree = tree;
    for (RemoteModule module : modules) {
      Set<String> names = new HashSet<>();
      for (LinearCall call : module.calls()) {
        addNames(call.weight(), names);
        remoteNodes.addAll(call.nodes());
      }
      float[] values = module.layer().weights(graph);
      remote.put(module.key(), new Remote(names, values.length, fingerprint(values)));
    }
  }

  /**
   * A sum over the values of 64 mixed bits each, so that a transposed copy has the same; 0 for
   * values that are all equal, which are no secret and which any constant may look like.
   */
  private static long fingerprint(float[] values) {
    long sum = 0;
    boolean uniform = true;
    for (float value : values) {
      uniform &= value == values[0];
      // The finaliser of SplitMix64.
      long bits = Float.floatToRawIntBits(value) + 0x9E3779B97F4A7C15L;
      bits = (bits ^ (bits >>> 30)) * 0xBF58476D1CE4E5B9L;
      bits = (bits ^ (bits >>> 27)) * 0x94D049BB133111EBL;
      sum += bits ^ (bits >>> 31);
    }
    return uniform ? 0 : sum;
  }

  private void addNames(String tensor, Set<String> names) {
    names.add(tensor);
    if (graph.producer(tensor) >= 0) {
      graph.reads(graph.producer(tensor)).forEach(source -> addNames(source, names));
    }
  }

  /**
   * Checks the constants of a clear segment.
   *
   * @throws InvalidInputException if one is a remote weight
   */
  void check(GraphProto segment) {
    segment.getInitializerList().forEach(tensor -> check(tensor.getName()));
    segment.getNodeList().stream()
        .filter(node -> node.getOpType().equals("Constant"))
        .forEach(node -> check(node.getOutput(0)));
  }

  private void check(String tensor) {
    Optional<ConstantTensor> constant = ConstantTensor.of(graph, tensor);
    long elements = constant.map(ConstantTensor::elements).orElse(0L);
    long fingerprint =
        remote.values().stream().anyMatch(weight -> weight.elements == elements)
            ? fingerprint(constant.orElseThrow().values())
            : 0;
    remote.forEach(
        (key, weight) -> {
          boolean sameValues =
              fingerprint != 0 && weight.elements == elements && weight.fingerprint == fingerprint;
          if (weight.names.contains(tensor) || sameValues) {
            throw new InvalidInputException(
                model.file()
                    + ": the weight of module '"
                    + key
                    + "' is also read by "
                    + clearReader(tensor).orElse("an output of the model")
                    + ", which stays in clear; make both remote, keep both clear, or untie the"
                    + " weights before the export");
          }
        });
  }

  private Optional<String> clearReader(String tensor) {
    for (int reader : graph.consumers(tensor)) {
      String operator = graph.node(reader).getOpType();
      if (operator.equals("Identity") || operator.equals("Transpose")) {
        Optional<String> behind = clearReader(graph.node(reader).getOutput(0));
        if (behind.isPresent()) {
          return behind;
        }
      } else if (!remoteNodes.contains(reader)) {
        String owner = tree.owner(reader);
        return Optional.of(
            "node '"
                + graph.node(reader).getName()
                + "'"
                + (owner.isEmpty() ? "" : " of module '" + owner + "'"));
      }
    }
    return Optional.empty();
  }
}
