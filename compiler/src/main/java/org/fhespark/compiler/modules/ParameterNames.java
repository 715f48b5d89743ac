package org.fhespark.compiler.modules;

import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.fhespark.compiler.onnx.OnnxGraph;

/**
 * The PyTorch parameters that kept their names, {@code key.weight} and {@code key.bias}. Equal
 * parameters are merged on export; the lost names survive as outputs of Identity nodes.
 */
final class ParameterNames {
  /** The bias that folding a BatchNorm gives to a layer without one. */
  private static final String ADDED_BIAS = ".weight_bias";

  private final OnnxGraph graph;
  private final Map<String, List<Long>> shapes = new LinkedHashMap<>();

  ParameterNames(OnnxGraph graph) {
    this.graph = graph;
    graph
        .initializers()
        .forEach(
            (name, tensor) -> {
              if (isParameterName(name)) {
                shapes.put(name, tensor.getDimsList());
              }
            });
    for (int i = 0; i < graph.nodeCount(); i++) {
      NodeProto node = graph.node(i);
      if (node.getOpType().equals("Identity") && isParameterName(node.getOutput(0))) {
        TensorProto source = graph.initializers().get(node.getInput(0));
        if (source != null) {
          shapes.put(node.getOutput(0), source.getDimsList());
        }
      }
    }
  }

  /** The exporter's own names hold "::" (onnx::MatMul_60) or are paths (/a/Constant_output_0). */
  private static boolean isParameterName(String name) {
    int dot = name.lastIndexOf('.');
    return dot > 0 && dot < name.length() - 1 && !name.contains("::") && !name.contains("/");
  }

  /** Keys of the modules that own a named parameter. */
  Set<String> modules() {
    Set<String> modules = new LinkedHashSet<>();
    shapes.keySet().forEach(name -> modules.add(ScopePath.parentKey(name)));
    return modules;
  }

  /** The named parameters of a module itself, and their shapes. */
  Map<String, List<Long>> of(String module) {
    Map<String, List<Long>> own = new LinkedHashMap<>();
    shapes.forEach(
        (name, shape) -> {
          if (ScopePath.parentKey(name).equals(module)) {
            own.put(
                name.endsWith(ADDED_BIAS)
                    ? name.substring(0, name.length() - ADDED_BIAS.length()) + ".bias"
                    : name,
                shape);
          }
        });
    return own;
  }

  /** Keys of the modules whose named parameters a node reads, maybe through constant nodes. */
  Set<String> modulesReadBy(int node) {
    Set<String> modules = new LinkedHashSet<>();
    List<String> pending = new ArrayList<>(graph.reads(node));
    while (!pending.isEmpty()) {
      String tensor = pending.remove(pending.size() - 1);
      if (shapes.containsKey(tensor)) {
        modules.add(ScopePath.parentKey(tensor));
      } else if (graph.isConstant(tensor) && graph.producer(tensor) >= 0) {
        pending.addAll(graph.reads(graph.producer(tensor)));
      }
    }
    return modules;
  }
}
