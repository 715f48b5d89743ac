package org.fhespark.compiler.split;

import java.util.List;

/**
 * A part of the model that runs in clear at the client.
 *
 * @param stage it runs before the remote calls of this stage
 * @param model an ONNX model
 * @param inputs its inputs: the model's, other segments' outputs and results of remote calls
 * @param outputs its outputs, those alone that something later reads
 */
public record Segment(int stage, byte[] model, List<String> inputs, List<String> outputs) {
  public Segment {
    inputs = List.copyOf(inputs);
    outputs = List.copyOf(outputs);
  }
}
