package org.fhespark.compiler.split;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.affine.RemotePart;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ConstantTensor;
import org.fhespark.compiler.onnx.Constants;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/**
 * Finds remote weights in clear segments. Exporters give tied weights one tensor, or a transposed
 * copy to one of the readers; so names are compared, and values.
 */
final class TiedWeights {
  /** Operators all of whose operands are part of a weight that they make. */
  private static final Set<String> MIXING =
      Set.of("Add", "Sub", "Mul", "Div", "MatMul", "Gemm", "Concat");

  private final OnnxModel model;
  private final OnnxGraph graph;
  private final ModuleTree tree;
  private final Map<String, Remote> remote = new LinkedHashMap<>();
  private final Set<Integer> remoteNodes = new HashSet<>();

  /**
   * What must not be in clear of a remote module.
   *
   * @param names those that its weights have in the file
   * @param prints of its weights as the file holds them, and as the circuit does
   */
  private record Remote(Set<String> names, Set<Print> prints) {}

  /**
   * What a tensor and its transpose have in common.
   *
   * @param elements how many values
   * @param fingerprint of the values, whatever their order
   */
  private record Print(long elements, long fingerprint) {}

  TiedWeights(OnnxModel model, ModuleTree tree, List<RemoteModule> modules) {
    this.model = model;
    this.graph = model.graph();
    this.tree = tree;
    Constants constants = new Constants(model);
    Map<String, Optional<Print>> seen = new HashMap<>();
    for (RemoteModule module : modules) {
      Set<String> names = new HashSet<>();
      Set<Print> prints = new HashSet<>();
      for (RemotePart call : module.parts()) {
        remoteNodes.addAll(call.computingNodes());
        for (String tensor : call.weightTensors()) {
          addNames(tensor, names);
          seen.computeIfAbsent(tensor, name -> print(constants.floats(name).orElseThrow().values()))
              .ifPresent(prints::add);
        }
      }
      boolean asInTheFile =
          module.isNonLinear()
              || (module.layer().weightTensors().size() == 1
                  && module.layer().affineNodes().size() == 1);
      if (!asInTheFile) {
        print(module.layer().weights()).ifPresent(prints::add);
      }
      remote.put(module.key(), new Remote(names, prints));
    }
  }

  /**
   * A sum over the values of 64 mixed bits each, so that a transposed copy has the same; none of
   * values that are all equal, which are no secret and which any constant may look like.
   */
  private static Optional<Print> print(float[] values) {
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
    return uniform ? Optional.empty() : Optional.of(new Print(values.length, sum));
  }

  /** Adds a weight's names: its own and those of what it is made of, but for numbers and shapes. */
  private void addNames(String tensor, Set<String> names) {
    int producer = graph.producer(tensor);
    if (producer >= 0) {
      NodeProto node = graph.node(producer);
      boolean mixes = MIXING.contains(node.getOpType());
      node.getInputList().stream()
          .limit(mixes ? node.getInputCount() : 1)
          .filter(source -> !source.isEmpty())
          .forEach(source -> addNames(source, names));
    }
    TensorProto initializer = graph.initializers().get(tensor);
    if (initializer == null || initializer.getDimsList().stream().anyMatch(axis -> axis > 1)) {
      names.add(tensor);
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
    boolean sizeOccurs =
        remote.values().stream()
            .anyMatch(r -> r.prints.stream().anyMatch(print -> print.elements == elements));
    Optional<Print> print =
        sizeOccurs ? constant.flatMap(found -> print(found.values())) : Optional.empty();
    remote.forEach(
        (key, weight) -> {
          if (weight.names.contains(tensor) || print.filter(weight.prints::contains).isPresent()) {
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
