package org.fhespark.compiler.affine;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.fhespark.compiler.onnx.ConstantTensor;
import org.fhespark.compiler.onnx.Constants;
import org.fhespark.compiler.onnx.OnnxGraph;

/**
 * A constant that a model trained with quantisation makes of integers: DequantizeLinear of 8-bit
 * values, maybe clipped to fewer bits, with zero point 0.
 *
 * @param integers the tensor of integers that DequantizeLinear reads
 * @param scales one for each index of the axis, or a single one
 * @param axis of the integers that the scales go along
 * @param transposed whether the constant is the transpose of the integers, a matrix
 * @param bits that the clipping leaves, 8 without
 */
record IntegerConstant(
    Constants constants,
    String integers,
    float[] scales,
    List<Long> shape,
    int axis,
    boolean transposed,
    int bits) {
  private static final int BYTE_BITS = 8;
  private static final int FEWEST_BITS = 2;

  /** The integers behind a constant, if that is how it is made. */
  static Optional<IntegerConstant> of(OnnxGraph graph, Constants constants, String tensor) {
    boolean transposed = false;
    String at = tensor;
    while (graph.producer(at) >= 0) {
      NodeProto node = graph.node(graph.producer(at));
      switch (node.getOpType()) {
        case "Identity" -> at = node.getInput(0);
        case "Transpose" -> {
          transposed = !transposed;
          at = node.getInput(0);
        }
        case "DequantizeLinear" -> {
          return of(graph, constants, tensor, node, transposed);
        }
        default -> {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }

  private static Optional<IntegerConstant> of(
      OnnxGraph graph,
      Constants constants,
      String tensor,
      NodeProto dequantize,
      boolean transposed) {
    Optional<ConstantTensor> scales = constants.floats(dequantize.getInput(1));
    Optional<ConstantTensor> value = constants.floats(tensor);
    boolean symmetric =
        dequantize.getInputCount() < 3
            || dequantize.getInput(2).isEmpty()
            || constants
                .integers(dequantize.getInput(2))
                .filter(points -> Arrays.stream(points).allMatch(point -> point == 0))
                .isPresent();
    if (scales.isEmpty()
        || value.isEmpty()
        || !symmetric
        || (transposed && value.get().shape().size() != 2)
        || dequantize.getAttributeList().stream()
            .anyMatch(a -> a.getName().equals("block_size") && a.getI() != 0)) {
      return Optional.empty();
    }
    List<Long> shape = transposed ? value.get().transposed().shape() : value.get().shape();
    int axis =
        dequantize.getAttributeList().stream()
            .filter(attribute -> attribute.getName().equals("axis"))
            .map(AttributeProto::getI)
            .findFirst()
            .orElse(1L)
            .intValue();
    IntegerConstant constant =
        new IntegerConstant(
            constants,
            dequantize.getInput(0),
            scales.get().values(),
            shape,
            axis < 0 ? axis + shape.size() : axis,
            transposed,
            bits(graph, constants, dequantize.getInput(0)));
    for (float scale : constant.scales) {
      if (!(scale >= Float.MIN_NORMAL && scale <= Float.MAX_VALUE)) {
        return Optional.empty();
      }
    }
    return constants
        .integers(dequantize.getInput(0))
        .filter(all -> Arrays.stream(all).allMatch(q -> q >= Byte.MIN_VALUE && q <= Byte.MAX_VALUE))
        .map(all -> constant);
  }

  /** Bits of the range that Clip nodes leave. */
  private static int bits(OnnxGraph graph, Constants constants, String tensor) {
    int bits = BYTE_BITS;
    String at = tensor;
    while (graph.producer(at) >= 0) {
      NodeProto node = graph.node(graph.producer(at));
      if (node.getOpType().equals("Clip")) {
        int needed = FEWEST_BITS;
        boolean bounded = false;
        for (int i = 1; i < node.getInputCount(); i++) {
          Optional<long[]> bound = constants.integers(node.getInput(i));
          if (bound.isPresent() && bound.get().length == 1) {
            long limit = bound.get()[0];
            long largest = limit < 0 ? -limit - 1 : limit;
            needed = Math.max(needed, Long.SIZE - Long.numberOfLeadingZeros(largest) + 1);
            bounded = true;
          }
        }
        bits = bounded ? Math.min(bits, needed) : bits;
      } else if (!node.getOpType().equals("Identity")) {
        break;
      }
      at = node.getInput(0);
    }
    return bits;
  }

  /**
   * The weights of a matrix product; empty if their scales do not go along the outputs.
   *
   * @param outputMajor whether the constant is {@code [dOut][dIn]}, else {@code [dIn][dOut]}
   */
  Optional<IntegerWeights> matrix(boolean outputMajor) {
    int outputAxis = outputMajor != transposed ? 0 : 1;
    int dOut = Math.toIntExact(shape.get(outputAxis));
    int dIn = Math.toIntExact(shape.get(1 - outputAxis));
    if (scales.length != 1 && axis != outputAxis) {
      return Optional.empty();
    }
    return Optional.of(
        new IntegerWeights(
            dIn,
            () -> {
              long[] stored = constants.integers(integers).orElseThrow();
              byte[] values = new byte[stored.length];
              for (int j = 0; j < dOut; j++) {
                for (int i = 0; i < dIn; i++) {
                  values[j * dIn + i] = (byte) stored[outputAxis == 0 ? j * dIn + i : i * dOut + j];
                }
              }
              return values;
            },
            () -> ChannelVector.of(scales).expanded(dOut),
            bits));
  }

  /** The kernels of a convolution, zeros between groups. */
  Optional<IntegerWeights> kernels(int outputs, int groups) {
    if (transposed || (scales.length != 1 && axis != 0)) {
      return Optional.empty();
    }
    int perOutput =
        Math.toIntExact(shape.stream().skip(1).reduce((long) groups, Math::multiplyExact));
    return Optional.of(
        new IntegerWeights(
            perOutput,
            () -> {
              long[] stored = constants.integers(integers).orElseThrow();
              byte[] values = new byte[stored.length];
              for (int i = 0; i < values.length; i++) {
                values[i] = (byte) stored[i];
              }
              return Convolution.dense(values, outputs, groups);
            },
            () -> ChannelVector.of(scales).expanded(outputs),
            bits));
  }
}
