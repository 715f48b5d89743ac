package org.fhespark.jobs.client;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.fhespark.compiler.onnx.ElementType;

/**
 * A tensor on the client: direct memory in native byte order, row-major.
 *
 * @param type element type
 * @param data the elements
 * @param shape the axes, the batch axis first
 */
record Tensor(ElementType type, ByteBuffer data, long[] shape) {

  /** A tensor with memory of its own, all zero. */
  static Tensor allocate(ElementType type, long... shape) {
    long bytes = elements(shape) * bytesOf(type);
    if (bytes > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "a tensor of shape " + Arrays.toString(shape) + " exceeds 2 GiB: use smaller batches");
    }
    ByteBuffer data = ByteBuffer.allocateDirect((int) bytes).order(ByteOrder.nativeOrder());
    return new Tensor(type, data, shape.clone());
  }

  static int bytesOf(ElementType type) {
    return switch (type) {
      case FLOAT, INT32 -> 4;
      case DOUBLE, INT64 -> 8;
    };
  }

  private static long elements(long[] shape) {
    return Arrays.stream(shape).reduce(1, Math::multiplyExact);
  }

  /** Product of all axes but the last: the rows a linear layer sees. */
  int rows() {
    return (int) elements(Arrays.copyOf(shape, shape.length - 1));
  }

  /** Length of the last axis. */
  int width() {
    return (int) shape[shape.length - 1];
  }

  /** Number of elements. */
  int elements() {
    return data.capacity() / bytesOf(type);
  }

  /** The elements, from position 0 to the limit. */
  Buffer values() {
    return switch (type) {
      case FLOAT -> data.asFloatBuffer();
      case DOUBLE -> data.asDoubleBuffer();
      case INT32 -> data.asIntBuffer();
      case INT64 -> data.asLongBuffer();
    };
  }

  /** The same memory as an ONNX Runtime tensor; the caller closes it. */
  OnnxTensor toOnnx(OrtEnvironment environment) throws OrtException {
    return switch (type) {
      case FLOAT -> OnnxTensor.createTensor(environment, data.asFloatBuffer(), shape);
      case DOUBLE -> OnnxTensor.createTensor(environment, data.asDoubleBuffer(), shape);
      case INT32 -> OnnxTensor.createTensor(environment, data.asIntBuffer(), shape);
      case INT64 -> OnnxTensor.createTensor(environment, data.asLongBuffer(), shape);
    };
  }

  /** A copy of an ONNX Runtime tensor. */
  static Tensor copyOf(OnnxTensor tensor, String name) {
    ElementType type =
        switch (tensor.getInfo().type) {
          case FLOAT -> ElementType.FLOAT;
          case DOUBLE -> ElementType.DOUBLE;
          case INT32 -> ElementType.INT32;
          case INT64 -> ElementType.INT64;
          default ->
              throw new IllegalArgumentException(
                  "tensor " + name + " is of type " + tensor.getInfo().type);
        };
    Tensor copy = allocate(type, tensor.getInfo().getShape());
    copy.data.put(tensor.getByteBuffer()).flip();
    return copy;
  }
}
