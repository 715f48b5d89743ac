package org.fhespark.compiler.affine;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.fhespark.compiler.onnx.OnnxGraph;

/** The nodes that compute shapes from shapes: Shape, and all that read nothing but its like. */
final class ShapeArithmetic {
  private static final Set<String> ROOTS = Set.of("Shape", "Size");

  private final Set<Integer> nodes = new HashSet<>();

  ShapeArithmetic(OnnxGraph graph) {
    Set<String> tensors = new HashSet<>();
    for (int i = 0; i < graph.nodeCount(); i++) {
      List<String> reads = graph.reads(i).stream().filter(t -> !graph.isConstant(t)).toList();
      boolean root = ROOTS.contains(graph.node(i).getOpType());
      if (root || (!reads.isEmpty() && tensors.containsAll(reads))) {
        nodes.add(i);
        tensors.addAll(graph.node(i).getOutputList());
      }
    }
  }

  boolean contains(int node) {
    return nodes.contains(node);
  }
}
