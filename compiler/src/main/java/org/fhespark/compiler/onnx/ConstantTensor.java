package org.fhespark.compiler.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.fhespark.InvalidInputException;

/** A float32 constant of a graph; its values are decoded when asked for. */
public final class ConstantTensor {
  private final String name;
  private final List<Long> stored;
  private final Supplier<float[]> decoder;
  private final boolean transposed;

  /**
   * A constant.
   *
   * @param stored its axes as it is stored
   * @param decoder makes its values, row-major as they are stored, whenever they are asked for
   * @param transposed whether the constant is the transpose of what is stored, a matrix
   */
  ConstantTensor(String name, List<Long> stored, Supplier<float[]> decoder, boolean transposed) {
    this.name = name;
    this.stored = List.copyOf(stored);
    this.decoder = decoder;
    this.transposed = transposed;
  }

  /**
   * The constant that a tensor is, if it is an initialiser or a Constant node, maybe behind
   * Identity and matrix Transpose nodes; empty if it is anything else or not float32.
   */
  public static Optional<ConstantTensor> of(OnnxGraph graph, String tensor) {
    TensorProto initializer = graph.initializers().get(tensor);
    if (initializer != null) {
      return of(tensor, initializer);
    }
    int producer = graph.producer(tensor);
    if (producer < 0) {
      return Optional.empty();
    }
    NodeProto node = graph.node(producer);
    return switch (node.getOpType()) {
      case "Constant" ->
          node.getAttributeList().stream()
              .filter(attribute -> attribute.getName().equals("value"))
              .findFirst()
              .flatMap(attribute -> of(tensor, attribute.getT()));
      case "Identity" -> of(graph, node.getInput(0));
      case "Transpose" ->
          of(graph, node.getInput(0))
              .filter(matrix -> matrix.shape().size() == 2 && swapsBothAxes(node))
              .map(ConstantTensor::transposed);
      default -> Optional.empty();
    };
  }

  private static Optional<ConstantTensor> of(String name, TensorProto proto) {
    return proto.getDataType() == TensorProto.DataType.FLOAT_VALUE
        ? Optional.of(new ConstantTensor(name, proto.getDimsList(), () -> decode(proto), false))
        : Optional.empty();
  }

  private static boolean swapsBothAxes(NodeProto transpose) {
    for (AttributeProto attribute : transpose.getAttributeList()) {
      if (attribute.getName().equals("perm")) {
        return attribute.getIntsList().equals(List.of(1L, 0L));
      }
    }
    return true;
  }

  /** Its axes. */
  public List<Long> shape() {
    return transposed ? List.of(stored.get(1), stored.get(0)) : stored;
  }

  /** The product of its axes; 1 for a scalar. */
  public long elements() {
    return stored.stream().reduce(1L, Math::multiplyExact);
  }

  /** The transpose of a matrix. */
  public ConstantTensor transposed() {
    return new ConstantTensor(name, stored, decoder, !transposed);
  }

  /**
   * Its elements, row-major.
   *
   * @throws InvalidInputException if the file holds fewer or more than the shape asks for
   */
  public float[] values() {
    float[] decoded = decoder.get();
    if (decoded.length != elements()) {
      throw new InvalidInputException(
          "tensor '"
              + name
              + "' of shape "
              + stored
              + " holds "
              + decoded.length
              + " values instead of "
              + elements()
              + "; export the model again");
    }
    if (!transposed) {
      return decoded;
    }
    int rows = Math.toIntExact(stored.get(0));
    int columns = Math.toIntExact(stored.get(1));
    float[] values = new float[decoded.length];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        values[j * rows + i] = decoded[i * columns + j];
      }
    }
    return values;
  }

  private static float[] decode(TensorProto source) {
    if (source.getFloatDataCount() > 0) {
      float[] values = new float[source.getFloatDataCount()];
      for (int i = 0; i < values.length; i++) {
        values[i] = source.getFloatData(i);
      }
      return values;
    }
    ByteBuffer raw = source.getRawData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    float[] values = new float[raw.remaining() / Float.BYTES];
    raw.asFloatBuffer().get(values);
    return values;
  }
}
