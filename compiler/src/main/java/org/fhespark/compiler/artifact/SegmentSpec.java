package org.fhespark.compiler.artifact;

import java.util.List;

/**
 * A clear segment of a client artefact. Inner tensors are opaque: shapes that the model computes
 * are among them and have no batch axis, so all segments must run on the same batch of records.
 *
 * @param stage it runs before the remote modules of this stage
 * @param file its ONNX model, relative to the artefact
 * @param inputs tensors it reads: the model's inputs, other segments' outputs, remote results
 * @param outputs tensors it makes
 */
public record SegmentSpec(int stage, String file, List<String> inputs, List<String> outputs) {
  public SegmentSpec {
    inputs = List.copyOf(inputs);
    outputs = List.copyOf(outputs);
    if (stage < 0 || file == null || file.isEmpty()) {
      throw new IllegalArgumentException("a segment has a stage and a file");
    }
  }
}
