package org.fhespark.compiler.split;

import ai.onnxruntime.OnnxJavaType;
import java.util.List;
import java.util.Set;

/**
 * A part of the model that runs in clear at the client.
 *
 * @param stage it runs before the remote calls of this stage
 * @param model an ONNX model
 * @param inputs its inputs: the model's, other segments' outputs and results of remote calls
 * @param outputs its outputs, those alone that something later reads
 */
public record Segment(int stage, byte[] model, List<String> inputs, List<String> outputs) {
  /** Element types that its inputs and outputs may have; clients hold tensors of these. */
  public static final Set<OnnxJavaType> TENSOR_TYPES =
      Set.of(
          OnnxJavaType.FLOAT,
          OnnxJavaType.DOUBLE,
          OnnxJavaType.INT32,
          OnnxJavaType.INT64,
          OnnxJavaType.BOOL,
          OnnxJavaType.INT8,
          OnnxJavaType.UINT8);

  public Segment {
    inputs = List.copyOf(inputs);
    outputs = List.copyOf(outputs);
  }
}
