package org.fhespark.jobs.client;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.split.Segment;
import org.fhespark.udf.DirectMemory;

/** A tensor on the client: direct memory in native byte order, row-major, the batch axis first. */
final class Tensor {
  private static final int ZEROS = 1 << 16;
  private static final ByteBuffer ZERO = ByteBuffer.allocateDirect(ZEROS).asReadOnlyBuffer();

  private final OnnxJavaType type;
  private final ByteBuffer data;
  private final long[] shape;

  /** What the elements lie in, if that is used again; or null. */
  private final ByteBuffer pooled;

  private Tensor(OnnxJavaType type, ByteBuffer data, long[] shape, ByteBuffer pooled) {
    this.type = type;
    this.data = data;
    this.shape = shape.clone();
    this.pooled = pooled;
  }

  /**
   * A tensor that looks at memory of the caller's.
   *
   * @param data direct, in native byte order, its capacity that of all elements
   * @param shape the axes
   */
  static Tensor of(ElementType type, ByteBuffer data, long... shape) {
    long bytes = bytes(onnx(type), shape);
    if (!data.isDirect() || data.order() != ByteOrder.nativeOrder() || data.capacity() != bytes) {
      throw new IllegalArgumentException(
          "a tensor of shape "
              + Arrays.toString(shape)
              + " takes direct memory of "
              + bytes
              + " bytes in native order, not "
              + data);
    }
    return new Tensor(onnx(type), data, shape, null);
  }

  /** A tensor with memory of its own, all zero. */
  static Tensor allocate(ElementType type, long... shape) {
    ByteBuffer data = ByteBuffer.allocateDirect(bytes(onnx(type), shape));
    return new Tensor(onnx(type), data.order(ByteOrder.nativeOrder()), shape, null);
  }

  /** A tensor of any content, in memory that is used again after {@link #release}. */
  static Tensor pooled(ElementType type, long... shape) {
    return pooled(onnx(type), shape);
  }

  /** The same of any of {@link Segment#TENSOR_TYPES}. */
  static Tensor pooled(OnnxJavaType type, long... shape) {
    int bytes = bytes(type, shape);
    ByteBuffer memory = DirectMemory.shared().take(bytes);
    ByteBuffer data = memory.slice(0, bytes).order(ByteOrder.nativeOrder());
    return new Tensor(type, data, shape, memory);
  }

  /** The name that ONNX Runtime has for a type. */
  private static OnnxJavaType onnx(ElementType type) {
    return OnnxJavaType.valueOf(type.name());
  }

  private static int bytes(OnnxJavaType type, long[] shape) {
    long bytes = Math.multiplyExact(elements(shape), type.size);
    if (bytes > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "a tensor of shape " + Arrays.toString(shape) + " exceeds 2 GiB: use smaller batches");
    }
    return (int) bytes;
  }

  /** Element type. */
  OnnxJavaType type() {
    return type;
  }

  /**
   * Element type of an input or output of a model.
   *
   * @throws IllegalArgumentException if none can have it
   */
  ElementType elementType() {
    return ElementType.valueOf(type.name());
  }

  /** The elements, in native byte order. */
  ByteBuffer data() {
    return data;
  }

  /** The axes. */
  long[] shape() {
    return shape;
  }

  /** Sets every element to zero. */
  Tensor clear() {
    clear(0, data.capacity());
    return this;
  }

  /**
   * Sets bytes to zero.
   *
   * @param from the first
   * @param end behind the last
   */
  void clear(int from, int end) {
    for (int at = from; at < end; at += ZEROS) {
      data.put(at, ZERO, 0, Math.min(ZEROS, end - at));
    }
  }

  /** Gives pooled memory back; it must not be used any more. */
  void release() {
    if (pooled != null) {
      DirectMemory.shared().giveBack(pooled);
    }
  }

  static int bytesOf(ElementType type) {
    return onnx(type).size;
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
    return data.capacity() / type.size;
  }

  /** The elements, from position 0 to the limit. */
  Buffer values() {
    return switch (type) {
      case FLOAT -> data.asFloatBuffer();
      case DOUBLE -> data.asDoubleBuffer();
      case INT32 -> data.asIntBuffer();
      case INT64 -> data.asLongBuffer();
      default -> data.duplicate();
    };
  }

  /** The same memory as an ONNX Runtime tensor; the caller closes it. */
  OnnxTensor toOnnx(OrtEnvironment environment) throws OrtException {
    return switch (type) {
      case FLOAT -> OnnxTensor.createTensor(environment, data.asFloatBuffer(), shape);
      case DOUBLE -> OnnxTensor.createTensor(environment, data.asDoubleBuffer(), shape);
      case INT32 -> OnnxTensor.createTensor(environment, data.asIntBuffer(), shape);
      case INT64 -> OnnxTensor.createTensor(environment, data.asLongBuffer(), shape);
      default -> OnnxTensor.createTensor(environment, data.duplicate(), shape, type);
    };
  }

  /** A copy of an ONNX Runtime tensor. */
  static Tensor copyOf(OnnxTensor tensor, String name) {
    OnnxJavaType type = tensor.getInfo().type;
    if (!Segment.TENSOR_TYPES.contains(type)) {
      throw new IllegalArgumentException("tensor " + name + " is of type " + type);
    }
    Tensor copy = pooled(type, tensor.getInfo().getShape());
    copy.data.put(tensor.getByteBuffer()).flip();
    return copy;
  }
}
