package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.fhespark.compiler.onnx.ElementType;

/**
 * An input or output of a model for a batch of records, as {@link
 * HybridSession#forward(java.util.List)} takes and gives it.
 *
 * @param type element type
 * @param data the elements, row-major: direct memory in native byte order, all of its capacity
 * @param shape the axes, that of the records first
 */
public record ModelTensor(ElementType type, ByteBuffer data, long[] shape) {
  public ModelTensor {
    long bytes = bytes(type, shape);
    if (!data.isDirect() || data.order() != ByteOrder.nativeOrder() || data.capacity() != bytes) {
      throw new IllegalArgumentException(
          "a tensor of shape "
              + Arrays.toString(shape)
              + " takes direct memory of "
              + bytes
              + " bytes in native order, not "
              + data);
    }
  }

  /** A tensor with memory of its own, all zero. */
  public static ModelTensor allocate(ElementType type, long... shape) {
    int bytes = Math.toIntExact(bytes(type, shape));
    ByteBuffer data = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    return new ModelTensor(type, data, shape.clone());
  }

  private static long bytes(ElementType type, long[] shape) {
    return Arrays.stream(shape).reduce(Tensor.bytesOf(type), Math::multiplyExact);
  }

  /** The same memory as the client's own type. */
  Tensor toTensor() {
    return Tensor.of(type, data, shape);
  }

  /** The same memory for a caller. */
  static ModelTensor of(Tensor tensor) {
    return new ModelTensor(tensor.elementType(), tensor.data(), tensor.shape());
  }
}
