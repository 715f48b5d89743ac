package org.fhespark.compiler.modules;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.List;
import java.util.Optional;
import org.fhespark.compiler.onnx.ConstantTensor;
import org.fhespark.compiler.onnx.OnnxGraph;

/**
 * Recognises a Linear layer at its Gemm or MatMul node.
 *
 * @param call the layer, if the node is one
 * @param refusal one clause that says why not, otherwise
 */
record LinearPattern(Optional<LinearCall> call, String refusal) {
  /** An engine's accumulators are 32-bit: the sum of this many products u8 × s8 fits. */
  private static final long MOST_INPUTS = 65_000;

  private static final long MOST_OUTPUTS = 1 << 20;

  static boolean isMatrixProduct(NodeProto node) {
    return node.getOpType().equals("Gemm") || node.getOpType().equals("MatMul");
  }

  /** Matches a Gemm or MatMul node. */
  static LinearPattern at(OnnxGraph graph, int index) {
    NodeProto node = graph.node(index);
    return node.getOpType().equals("Gemm") ? gemm(graph, index) : matMul(graph, index);
  }

  private static LinearPattern gemm(OnnxGraph graph, int index) {
    NodeProto node = graph.node(index);
    boolean outputMajor = false;
    for (AttributeProto attribute : node.getAttributeList()) {
      switch (attribute.getName()) {
        case "alpha", "beta" -> {
          if (attribute.getF() != 1f) {
            return refused("its Gemm has " + attribute.getName() + "=" + attribute.getF());
          }
        }
        case "transA" -> {
          if (attribute.getI() != 0) {
            return refused("its Gemm transposes the activations");
          }
        }
        case "transB" -> outputMajor = attribute.getI() != 0;
        default -> {}
      }
    }
    Optional<String> bias =
        node.getInputCount() > 2 && !node.getInput(2).isEmpty()
            ? Optional.of(node.getInput(2))
            : Optional.empty();
    return product(graph, List.of(index), node, outputMajor, bias, node.getOutput(0));
  }

  private static LinearPattern matMul(OnnxGraph graph, int index) {
    NodeProto node = graph.node(index);
    LinearPattern withoutBias =
        product(graph, List.of(index), node, false, Optional.empty(), node.getOutput(0));
    if (withoutBias.call.isEmpty()) {
      return withoutBias;
    }
    String product = node.getOutput(0);
    List<Integer> readers = graph.consumers(product);
    if (readers.size() != 1 || graph.outputNames().contains(product)) {
      return withoutBias;
    }
    NodeProto add = graph.node(readers.get(0));
    if (!add.getOpType().equals("Add") || !ScopePath.of(add).equals(ScopePath.of(node))) {
      return withoutBias;
    }
    String bias = add.getInput(add.getInput(0).equals(product) ? 1 : 0);
    LinearPattern withBias =
        product(
            graph,
            List.of(index, readers.get(0)),
            node,
            false,
            Optional.of(bias),
            add.getOutput(0));
    return withBias.call.isPresent() ? withBias : withoutBias;
  }

  private static LinearPattern product(
      OnnxGraph graph,
      List<Integer> nodes,
      NodeProto node,
      boolean outputMajor,
      Optional<String> bias,
      String output) {
    String operator = node.getOpType();
    String input = node.getInput(0);
    String weight = node.getInput(1);
    if (!graph.isConstant(weight)) {
      return refused(
          graph.isConstant(input)
              ? "its " + operator + " multiplies by the weights from the left"
              : "its " + operator + " multiplies two activations");
    }
    if (graph.isConstant(input)) {
      return refused("its " + operator + " reads no activation");
    }
    Optional<ConstantTensor> matrix =
        ConstantTensor.of(graph, weight).filter(constant -> constant.shape().size() == 2);
    if (matrix.isEmpty()) {
      return refused("the weight '" + weight + "' of its " + operator + " is no float32 matrix");
    }
    long rows = matrix.get().shape().get(0);
    long columns = matrix.get().shape().get(1);
    long dIn = outputMajor ? columns : rows;
    long dOut = outputMajor ? rows : columns;
    if (dIn < 1 || dIn > MOST_INPUTS || dOut < 1 || dOut > MOST_OUTPUTS) {
      return refused(
          "its "
              + operator
              + " is "
              + dIn
              + " x "
              + dOut
              + ", the most is "
              + MOST_INPUTS
              + " x "
              + MOST_OUTPUTS);
    }
    if (bias.isPresent()
        && ConstantTensor.of(graph, bias.get())
            .filter(constant -> isRowOf(constant, dOut))
            .isEmpty()) {
      return refused("the bias '" + bias.get() + "' of its " + operator + " is no constant vector");
    }
    return new LinearPattern(
        Optional.of(
            new LinearCall(
                nodes,
                input,
                output,
                weight,
                outputMajor,
                Math.toIntExact(dIn),
                Math.toIntExact(dOut),
                bias)),
        "");
  }

  private static boolean isRowOf(ConstantTensor constant, long dOut) {
    int rank = constant.shape().size();
    return rank >= 1 && constant.shape().get(rank - 1) == dOut && constant.elements() == dOut;
  }

  private static LinearPattern refused(String reason) {
    return new LinearPattern(Optional.empty(), reason);
  }
}
