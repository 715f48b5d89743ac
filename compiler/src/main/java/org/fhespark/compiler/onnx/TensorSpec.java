package org.fhespark.compiler.onnx;

import java.util.List;
import java.util.Objects;

/**
 * Name, element type and shape of a tensor of a model.
 *
 * @param name the tensor's name in the ONNX graph
 * @param type its element type
 * @param shape its shape without the batch axis; -1 where the model leaves an axis open
 */
public record TensorSpec(String name, ElementType type, List<Long> shape) {
  public TensorSpec {
    shape = List.copyOf(shape);
    Objects.requireNonNull(name);
    Objects.requireNonNull(type);
  }

  /** Number of elements of one record, or -1 if an axis is open. */
  public long elementsPerRecord() {
    long elements = 1;
    for (long axis : shape) {
      if (axis < 0) {
        return -1;
      }
      elements *= axis;
    }
    return elements;
  }
}
