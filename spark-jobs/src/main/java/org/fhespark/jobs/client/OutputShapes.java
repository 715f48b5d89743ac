package org.fhespark.jobs.client;

import ai.onnxruntime.OnnxJavaType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What the outputs of a segment were for inputs of some shapes: what they most likely are the next
 * time, so that ONNX Runtime can write them into memory that is there already. Safe to share
 * between threads.
 */
final class OutputShapes {
  /** Batches of sequences come in many shapes; there is no need to know them for ever. */
  private static final int MOST = 4096;

  private final Map<List<Long>, List<Output>> known = new ConcurrentHashMap<>();
  private volatile boolean followValues;

  /** Type and axes of an output. */
  record Output(OnnxJavaType type, long[] shape) {
    Tensor allocate() {
      return Tensor.pooled(type, shape);
    }
  }

  /** The outputs that followed inputs of these shapes, in the order in which they were told. */
  Optional<List<Output>> of(List<Tensor> inputs) {
    return followValues ? Optional.empty() : Optional.ofNullable(known.get(shapesOf(inputs)));
  }

  void learn(List<Tensor> inputs, List<Tensor> outputs) {
    if (followValues) {
      return;
    }
    if (known.size() >= MOST) {
      known.clear();
    }
    known.put(
        shapesOf(inputs),
        outputs.stream().map(output -> new Output(output.type(), output.shape())).toList());
  }

  /**
   * Told that they were others than the last time: they follow from values, and are not guessed any
   * more. Each wrong guess costs a run of the segment, of which ONNX Runtime prints an error.
   */
  void giveUp() {
    followValues = true;
    known.clear();
  }

  private static List<Long> shapesOf(List<Tensor> inputs) {
    List<Long> shapes = new ArrayList<>();
    for (Tensor input : inputs) {
      shapes.add((long) input.shape().length);
      Arrays.stream(input.shape()).forEach(shapes::add);
    }
    return shapes;
  }
}
