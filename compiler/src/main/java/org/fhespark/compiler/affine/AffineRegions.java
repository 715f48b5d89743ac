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
import org.fhespark.compiler.affine.SymbolicValue.Scaled;
import org.fhespark.compiler.onnx.Constants;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/** Finds the parts of a graph that are affine maps of one tensor's rows. */
public final class AffineRegions {
  /** How a refusal for a non-linearity ends. */
  public static final String NON_LINEARITY = "it is no affine operator";

  private static final Set<String> PRODUCTS = Set.of("Gemm", "MatMul", "Conv");

  private final OnnxGraph graph;
  private final Constants constants;
  private final ShapeArithmetic shapes;
  private final DeclaredShapes declared;

  /** Of a model's main graph. */
  public AffineRegions(OnnxModel model) {
    this.graph = model.graph();
    this.constants = new Constants(model);
    this.shapes = new ShapeArithmetic(graph);
    this.declared = new DeclaredShapes(graph);
  }

  /**
   * What a set of nodes is.
   *
   * @param calls the affine maps that they compute, in order; empty if they are something else
   * @param refusal one clause that says why they are none, otherwise
   */
  public record Region(List<AffineCall> calls, String refusal) {
    public Region {
      calls = List.copyOf(calls);
    }

    private static Region refused(String reason) {
      return new Region(List.of(), reason);
    }
  }

  /** Whether a node multiplies activations by weights, or two activations. */
  public boolean isProduct(int node) {
    return PRODUCTS.contains(graph.node(node).getOpType()) && !graph.isConstant(node);
  }

  /** Whether a node computes values of activations, quantised ones included. */
  public boolean computes(int node) {
    return !graph.isConstant(node) && !shapes.contains(node);
  }

  /** Whether a node computes shapes, of whatever. */
  public boolean isShapeArithmetic(int node) {
    return shapes.contains(node);
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
      if (withBias.calls.size() == 1) {
        return withBias;
      }
    }
    return of(List.of(node));
  }

  /**
   * What nodes of a module compute: one map, or several that share no node.
   *
   * @param nodes the active ones, in order
   */
  public Region of(Collection<Integer> nodes) {
    SymbolicEvaluation evaluation = new SymbolicEvaluation(graph, constants, declared);
    nodes.forEach(evaluation::evaluate);
    Set<Integer> members = new HashSet<>(nodes);
    Set<String> outputs = new LinkedHashSet<>();
    for (int node : nodes) {
      for (String tensor : graph.node(node).getOutputList()) {
        SymbolicValue value = evaluation.value(tensor);
        if (value instanceof Other other && other.node() == node) {
          return Region.refused(describe(other));
        }
        if (isReadOutside(tensor, members)) {
          outputs.add(withoutRearrangement(evaluation, tensor));
        }
      }
    }
    if (outputs.isEmpty() && !nodes.isEmpty()) {
      // Nothing reads it; that no output depends on it is for whoever cuts there to say.
      outputs.add(lastOutput(nodes));
    }
    List<AffineCall> calls = new ArrayList<>();
    Set<Integer> taken = new HashSet<>();
    for (String output : outputs) {
      if (!(evaluation.value(output) instanceof Mapped mapped)) {
        return Region.refused("holds no product by weights: there is nothing to hide or to save");
      }
      if (evaluation.value(mapped.source()) instanceof Mapped) {
        return Region.refused(
            "rearranges '"
                + mapped.source()
                + "' between two products: name the modules inside it instead");
      }
      Region closed = closed(mapped, output, members);
      if (closed.calls.isEmpty()) {
        return closed;
      }
      calls.addAll(closed.calls);
      if (closed.calls.get(0).affineNodes().stream().filter(node -> !taken.add(node)).count() > 0) {
        return Region.refused(
            "makes several tensors that others read, '"
                + String.join("', '", outputs)
                + "'; a remote part makes one");
      }
    }
    return new Region(calls, "");
  }

  /** The tensor that nodes at the end of a region only move. */
  private static String withoutRearrangement(SymbolicEvaluation evaluation, String tensor) {
    return evaluation.value(tensor) instanceof Scaled moved
            && moved.isIdentity()
            && evaluation.value(moved.source()) instanceof Mapped
        ? moved.source()
        : tensor;
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
        List.of(
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
