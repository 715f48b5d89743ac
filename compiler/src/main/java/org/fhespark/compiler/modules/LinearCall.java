package org.fhespark.compiler.modules;

import java.util.List;
import java.util.Optional;
import org.fhespark.compiler.onnx.ConstantTensor;
import org.fhespark.compiler.onnx.OnnxGraph;

/**
 * One call of a Linear layer: y = x · Wᵀ + b over the last axis of x.
 *
 * @param nodes the Gemm, or the MatMul and the Add of its bias
 * @param input the tensor x, {@code [.., dIn]}
 * @param output the tensor y, {@code [.., dOut]}
 * @param weight the constant tensor W
 * @param outputMajor whether the constant is stored {@code [dOut][dIn]}, as PyTorch does, or
 *     transposed
 * @param bias the constant tensor b with {@code dOut} elements, if there is one
 */
public record LinearCall(
    List<Integer> nodes,
    String input,
    String output,
    String weight,
    boolean outputMajor,
    int dIn,
    int dOut,
    Optional<String> bias) {
  public LinearCall {
    nodes = List.copyOf(nodes);
  }

  /** The weights, {@code [dOut][dIn]} row-major. */
  public float[] weights(OnnxGraph graph) {
    ConstantTensor matrix = ConstantTensor.of(graph, weight).orElseThrow();
    return (outputMajor ? matrix : matrix.transposed()).values();
  }

  /** The bias, {@code [dOut]}. */
  public Optional<float[]> biases(OnnxGraph graph) {
    return bias.map(name -> ConstantTensor.of(graph, name).orElseThrow().values());
  }
}
