package org.fhespark.compiler.quantize;

import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.fhespark.compiler.onnx.ConstantTensor;
import org.fhespark.compiler.onnx.Constants;
import org.fhespark.compiler.onnx.OnnxGraph;

/**
 * The quantisation that a model trained with one has in its own graph: a tensor is {@code scale}
 * times integers, because DequantizeLinear made it, and maybe other operators moved or dropped
 * some.
 *
 * @param scale of every value
 * @param largestInteger the largest magnitude that an integer can have
 */
public record FixedQuantization(float scale, int largestInteger) {
  private static final int FEWEST_BITS = 4;

  /** Operators that make nothing but values of their first operand, and zeros. */
  private static final Set<String> KEEPING =
      Set.of(
          "Identity",
          "Relu",
          "MaxPool",
          "GlobalMaxPool",
          "Dropout",
          "Flatten",
          "Reshape",
          "Transpose",
          "Squeeze",
          "Unsqueeze",
          "Slice",
          "Gather");

  /** The quantisation that tensors have in common, if they all have one. */
  public static Optional<FixedQuantization> ofAll(
      OnnxGraph graph, Constants constants, List<String> tensors) {
    List<Optional<FixedQuantization>> all =
        tensors.stream().map(tensor -> of(graph, constants, tensor)).distinct().toList();
    return all.size() == 1 ? all.get(0) : Optional.empty();
  }

  /** The quantisation of a tensor, if a DequantizeLinear with one scale makes its values. */
  public static Optional<FixedQuantization> of(
      OnnxGraph graph, Constants constants, String tensor) {
    String at = tensor;
    while (graph.producer(at) >= 0
        && KEEPING.contains(graph.node(graph.producer(at)).getOpType())) {
      at = graph.node(graph.producer(at)).getInput(0);
    }
    if (graph.producer(at) < 0) {
      return Optional.empty();
    }
    NodeProto node = graph.node(graph.producer(at));
    if (!node.getOpType().equals("DequantizeLinear")) {
      return Optional.empty();
    }
    Optional<ConstantTensor> scale =
        constants.floats(node.getInput(1)).filter(constant -> constant.elements() == 1);
    Optional<Range> range = Range.of(graph, constants, node.getInput(0));
    boolean hasZeroPoint = node.getInputCount() > 2 && !node.getInput(2).isEmpty();
    Optional<long[]> zeroPoint =
        hasZeroPoint ? constants.integers(node.getInput(2)) : Optional.of(new long[] {0});
    if (scale.isEmpty()
        || range.isEmpty()
        || zeroPoint.isEmpty()
        || zeroPoint.get().length != 1
        || !(scale.get().values()[0] >= Float.MIN_NORMAL)) {
      return Optional.empty();
    }
    long zero = zeroPoint.get()[0];
    long largest = Math.max(Math.abs(range.get().least - zero), Math.abs(range.get().most - zero));
    return Optional.of(new FixedQuantization(scale.get().values()[0], (int) Math.max(1, largest)));
  }

  /** The integers that a quantised tensor can hold. */
  private record Range(long least, long most) {
    /** Of what QuantizeLinear makes, maybe clipped. */
    static Optional<Range> of(OnnxGraph graph, Constants constants, String tensor) {
      if (graph.producer(tensor) < 0) {
        return Optional.empty();
      }
      NodeProto node = graph.node(graph.producer(tensor));
      if (node.getOpType().equals("Clip")) {
        return of(graph, constants, node.getInput(0))
            .map(
                range ->
                    new Range(
                        bound(constants, node, 1)
                            .map(b -> Math.max(b, range.least))
                            .orElse(range.least),
                        bound(constants, node, 2)
                            .map(b -> Math.min(b, range.most))
                            .orElse(range.most)));
      }
      if (!node.getOpType().equals("QuantizeLinear")) {
        return Optional.empty();
      }
      boolean hasZeroPoint = node.getInputCount() > 2 && !node.getInput(2).isEmpty();
      if (!hasZeroPoint) {
        return Optional.of(new Range(0, 255));
      }
      return constants
          .elementType(node.getInput(2))
          .flatMap(
              type ->
                  switch (type) {
                    case UINT8 -> Optional.of(new Range(0, 255));
                    case INT8 -> Optional.of(new Range(-128, 127));
                    default -> Optional.empty();
                  });
    }

    private static Optional<Long> bound(Constants constants, NodeProto clip, int input) {
      return clip.getInputCount() > input && !clip.getInput(input).isEmpty()
          ? constants.integers(clip.getInput(input)).map(values -> values[0])
          : Optional.empty();
    }
  }

  /** Signed bits that hold its integers, at least those of the least that can be chosen. */
  public int activationBits() {
    return Math.max(FEWEST_BITS, Integer.SIZE - Integer.numberOfLeadingZeros(largestInteger) + 1);
  }
}
