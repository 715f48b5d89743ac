package org.fhespark.compiler.affine;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.fhespark.compiler.artifact.Unfolding;

/**
 * A part of a graph that computes y = W·x + b, where x is a row of one tensor: its last axis, or a
 * window of a convolution.
 *
 * @param nodes all nodes between input and output, in order, arithmetic on shapes included
 * @param affineNodes those of them that compute values and not shapes
 * @param input the tensor x comes from, {@code [.., dIn]} or what the unfolding says
 * @param output the tensor y, {@code [.., dOut]}, or {@code [batch, dOut, position..]} of a
 *     convolution
 * @param unfolding how rows are made of a convolution's input
 * @param map from a row to its outputs
 */
public record AffineCall(
    List<Integer> nodes,
    List<Integer> affineNodes,
    String input,
    String output,
    Optional<Unfolding> unfolding,
    AffineMap map)
    implements RemotePart {
  public AffineCall {
    nodes = List.copyOf(nodes);
    affineNodes = List.copyOf(affineNodes);
  }

  /** Values of a row that it reads. */
  public int dIn() {
    return map.dIn();
  }

  /** Values of a row that it makes. */
  public int dOut() {
    return map.dOut();
  }

  /** Where its rows come from. */
  public RowSource rows() {
    return new RowSource(input, unfolding);
  }

  /** W, {@code [dOut][dIn]} row-major, computed anew. */
  public float[] weights() {
    return map.weights();
  }

  /** b, {@code [dOut]}. */
  public Optional<float[]> biases() {
    return map.bias();
  }

  @Override
  public List<Integer> computingNodes() {
    return affineNodes;
  }

  /** The constants that W is made of. */
  @Override
  public Set<String> weightTensors() {
    return map.weightTensors();
  }

  /** Whether rows are made the same way and maps are of one shape. */
  boolean isShapedLike(AffineCall other) {
    return dIn() == other.dIn() && dOut() == other.dOut() && unfolding.equals(other.unfolding);
  }
}
