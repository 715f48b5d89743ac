package org.fhespark.compiler.quantize;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.nio.Buffer;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.fhespark.compiler.onnx.ElementType;

/**
 * One input of a model for a batch of records.
 *
 * @param type element type, that of {@code values}
 * @param values the elements, row-major, from position to limit; a direct buffer is not copied
 * @param shape the axes, the batch axis first
 */
public record BatchTensor(ElementType type, Buffer values, List<Long> shape) {
  public BatchTensor {
    shape = List.copyOf(shape);
    long elements = shape.stream().reduce(1L, Math::multiplyExact);
    if (elements != values.remaining()) {
      throw new IllegalArgumentException(
          "shape " + shape + " asks for " + elements + " values, got " + values.remaining());
    }
  }

  /** Of the buffer's elements from position to limit, row-major; they are not copied. */
  public static BatchTensor of(FloatBuffer values, long... shape) {
    return new BatchTensor(ElementType.FLOAT, values, axes(shape));
  }

  /** Of the buffer's elements from position to limit, row-major; they are not copied. */
  public static BatchTensor of(DoubleBuffer values, long... shape) {
    return new BatchTensor(ElementType.DOUBLE, values, axes(shape));
  }

  /** Of the buffer's elements from position to limit, row-major; they are not copied. */
  public static BatchTensor of(IntBuffer values, long... shape) {
    return new BatchTensor(ElementType.INT32, values, axes(shape));
  }

  /** Of the buffer's elements from position to limit, row-major; they are not copied. */
  public static BatchTensor of(LongBuffer values, long... shape) {
    return new BatchTensor(ElementType.INT64, values, axes(shape));
  }

  private static List<Long> axes(long[] shape) {
    return LongStream.of(shape).boxed().toList();
  }

  /** Records in the batch. */
  public long records() {
    return shape.get(0);
  }

  /** The records from one index to another, over the same buffer. */
  public BatchTensor slice(int from, int to) {
    long all = shape.stream().reduce(1L, Math::multiplyExact);
    int perRecord = Math.toIntExact(all / Math.max(1, records()));
    List<Long> part = new ArrayList<>(shape);
    part.set(0, (long) to - from);
    return new BatchTensor(
        type, values.slice(values.position() + from * perRecord, (to - from) * perRecord), part);
  }

  /**
   * A tensor over this buffer; the caller closes it before the buffer is reused.
   *
   * @throws OrtException if ONNX Runtime cannot make it
   */
  public OnnxTensor toOnnxTensor(OrtEnvironment environment) throws OrtException {
    long[] axes = shape.stream().mapToLong(Long::longValue).toArray();
    return switch (type) {
      case FLOAT -> OnnxTensor.createTensor(environment, (FloatBuffer) values, axes);
      case DOUBLE -> OnnxTensor.createTensor(environment, (DoubleBuffer) values, axes);
      case INT32 -> OnnxTensor.createTensor(environment, (IntBuffer) values, axes);
      case INT64 -> OnnxTensor.createTensor(environment, (LongBuffer) values, axes);
    };
  }
}
