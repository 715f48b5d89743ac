package org.fhespark.compiler.affine;

import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.fhespark.compiler.affine.SymbolicValue.Mapped;
import org.fhespark.compiler.affine.SymbolicValue.Other;
import org.fhespark.compiler.onnx.Constants;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/** Finds the parts of a graph that are affine maps of one tensor's rows. */
public final class AffineRegions {
  private static final Set<String> PRODUCTS = Set.of("Gemm", "MatMul", "Conv");

  private final OnnxGraph graph;
  private final Constants constants;
  private final ShapeArithmetic shapes;
  private final SpatialExtents extents;

  public AffineRegions(OnnxModel model) {
    this.graph = model.graph();
    this.constants = new Constants(model);
    this.shapes = new ShapeArithmetic(graph);
    this.extents = new SpatialExtents(graph);
  }

  /**
   * What a set of nodes is.
   *
   * @param call the affine map that they compute, if it is one
   * @param refusal one clause that says why it is none, otherwise
   */
  public record Region(Optional<AffineCall> call, String refusal) {
    private static Region refused(String reason) {
      return new Region(Optional.empty(), reason);
    }
  }

  /** Whether a node multiplies activations by weights, or two activations. */
  public boolean isProduct(int node) {
    return PRODUCTS.contains(graph.node(node).getOpType()) && !graph.isConstant(node);
  }

  /** Whether a node computes values, and computes them of activations. */
  public boolean isActive(int node) {
    return !graph.isConstant(node) && !shapes.contains(node) && !isFakeQuantisation(node);
  }

  /**
   * QuantizeLinear, Clip and DequantizeLinear of an activation: they stay in clear, and what they
   * make is the input of the product behind them.
   */
  private boolean isFakeQuantisation(int index) {
    NodeProto node = graph.node(index);
    return switch (node.getOpType()) {
      case "QuantizeLinear", "DequantizeLinear" -> !graph.isConstant(index);
      case "Clip" -> {
        int producer = graph.producer(node.getInput(0));
        yield producer >= 0 && graph.node(producer).getOpType().equals("QuantizeLinear");
      }
      default -> false;
    };
  }

  /**
   * A matrix product or convolution and the addition of its bias, if that is the only reader and
   * belongs to it.
   *
   * @param sameScope whether a node is of the same module as the product
   */
  public Region product(int node, java.util.function.IntPredicate sameScope) {
    String made = graph.node(node).getOutput(0);
    List<Integer> readers = graph.consumers(made);
    if (readers.size() == 1
        && !graph.outputNames().contains(made)
        && graph.node(readers.get(0)).getOpType().equals("Add")
        && sameScope.test(readers.get(0))) {
      Region withBias = of(List.of(node, readers.get(0)));
      if (withBias.call.isPresent()) {
        return withBias;
      }
    }
    return of(List.of(node));
  }

  /**
   * What the nodes of one call of a module compute.
   *
   * @param nodes the active ones, in order
   */
  public Region of(Collection<Integer> nodes) {
    SymbolicEvaluation evaluation = new SymbolicEvaluation(graph, constants, extents);
    nodes.forEach(evaluation::evaluate);
    Set<Integer> members = new HashSet<>(nodes);
    List<String> outputs = new ArrayList<>();
    for (int node : nodes) {
      for (String tensor : graph.node(node).getOutputList()) {
        if (isReadOutside(tensor, members)) {
          outputs.add(tensor);
        }
      }
    }
    for (int node : nodes) {
      for (String tensor : graph.node(node).getOutputList()) {
        if (evaluation.value(tensor) instanceof Other other && other.node() == node) {
          return Region.refused(describe(other));
        }
      }
    }
    if (outputs.isEmpty() && !nodes.isEmpty()) {
      // Nothing reads it; that no output depends on it is for whoever cuts there to say.
      outputs.add(lastOutput(nodes));
    }
    if (outputs.size() != 1) {
      return Region.refused(
          "makes "
              + outputs.size()
              + " tensors that others read, '"
              + String.join("', '", outputs.subList(0, Math.min(3, outputs.size())))
              + "'; a remote part makes one");
    }
    String output = outputs.get(0);
    if (!(evaluation.value(output) instanceof Mapped mapped)) {
      return Region.refused("holds no product by weights: there is nothing to hide or to save");
    }
    return closed(mapped, output, members);
  }

  private String lastOutput(Collection<Integer> nodes) {
    int last = nodes.stream().mapToInt(Integer::intValue).max().orElseThrow();
    return graph.node(last).getOutput(0);
  }

  private String describe(Other other) {
    NodeProto node = graph.node(other.node());
    return "contains "
        + node.getOpType()
        + " at node "
        + (node.getName().isEmpty() ? "'" + node.getOutput(0) + "'" : node.getName())
        + ": "
        + other.reason();
  }

  private boolean isReadOutside(String tensor, Set<Integer> members) {
    return !tensor.isEmpty()
        && (graph.outputNames().contains(tensor)
            || graph.consumers(tensor).stream()
                .anyMatch(reader -> !members.contains(reader) && !shapes.contains(reader)));
  }

  /** The call with all nodes between its input and its output. */
  private Region closed(Mapped mapped, String output, Set<Integer> members) {
    TreeSet<Integer> all = new TreeSet<>();
    TreeSet<Integer> affine = new TreeSet<>();
    Set<String> foreign = new LinkedHashSet<>();
    List<String> pending = new ArrayList<>(List.of(output));
    while (!pending.isEmpty()) {
      String tensor = pending.remove(pending.size() - 1);
      if (tensor.equals(mapped.source()) || graph.isConstant(tensor)) {
        continue;
      }
      int producer = graph.producer(tensor);
      if (producer < 0 || !(members.contains(producer) || shapes.contains(producer))) {
        foreign.add(tensor);
      } else if (all.add(producer)) {
        if (members.contains(producer)) {
          affine.add(producer);
        }
        pending.addAll(graph.reads(producer));
      }
    }
    if (!foreign.isEmpty()) {
      return Region.refused(
          "takes its shape from '" + foreign.iterator().next() + "', which is not its input");
    }
    return new Region(
        Optional.of(
            new AffineCall(
                List.copyOf(all),
                List.copyOf(affine),
                mapped.source(),
                output,
                Optional.ofNullable(mapped.unfolding()),
                mapped.map())),
        "");
  }

  /** Whether two calls are of one module: rows of one kind, and equal weights and biases. */
  public static boolean areOneLayer(AffineCall a, AffineCall b) {
    if (!a.isShapedLike(b)) {
      return false;
    }
    return java.util.Arrays.equals(a.biases().orElse(null), b.biases().orElse(null))
        && java.util.Arrays.equals(a.weights(), b.weights());
  }
}
