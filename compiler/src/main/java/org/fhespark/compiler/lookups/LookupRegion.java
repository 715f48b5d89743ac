package org.fhespark.compiler.lookups;

import java.util.List;
import java.util.Set;
import org.fhespark.compiler.affine.RemotePart;

/**
 * A part of a graph that look-ups can compute: affine maps of one tensor, with functions of single
 * values and maxima between them.
 *
 * @param nodes all nodes between input and output, in order, arithmetic on shapes included
 * @param computingNodes those of them that compute values and not shapes
 * @param input the tensor it reads
 * @param output the tensor it makes
 * @param steps what is not affine in it, in order; whatever lies between their tensors is affine
 * @param weightTensors the constants that its products multiply by
 */
public record LookupRegion(
    List<Integer> nodes,
    List<Integer> computingNodes,
    String input,
    String output,
    List<Step> steps,
    Set<String> weightTensors)
    implements RemotePart {
  public LookupRegion {
    nodes = List.copyOf(nodes);
    computingNodes = List.copyOf(computingNodes);
    steps = List.copyOf(steps);
    weightTensors = Set.copyOf(weightTensors);
  }

  /** What is not affine. */
  public sealed interface Step {
    /** The tensor it makes. */
    String result();
  }

  /**
   * A function of single values: {@code result[i] = f(argument[i])} for all i.
   *
   * @param argument a tensor that is affine in those before it
   * @param result the tensor it makes
   */
  public record Activation(String argument, String result) implements Step {}

  /**
   * Maxima of some values each.
   *
   * @param node that computes them
   * @param operands the tensors whose values are compared
   * @param result the tensor it makes
   */
  public record Maximum(int node, List<String> operands, String result) implements Step {
    public Maximum {
      operands = List.copyOf(operands);
    }
  }
}
