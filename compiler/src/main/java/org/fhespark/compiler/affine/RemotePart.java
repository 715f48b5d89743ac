package org.fhespark.compiler.affine;

import java.util.List;
import java.util.Set;

/** A part of a graph with one input and one output that a call of a remote module computes. */
public interface RemotePart {
  /** All nodes between input and output, in order, arithmetic on shapes included. */
  List<Integer> nodes();

  /** Those of the nodes that compute values and not shapes. */
  List<Integer> computingNodes();

  /** The tensor that it reads. */
  String input();

  /** The tensor that it makes. */
  String output();

  /** The constants that its weights are made of, which must not reach the client. */
  Set<String> weightTensors();

  /** The node that makes the output. */
  default int lastNode() {
    return computingNodes().get(computingNodes().size() - 1);
  }
}
