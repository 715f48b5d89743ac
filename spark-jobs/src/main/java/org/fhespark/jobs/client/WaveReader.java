package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.jobs.tables.RecordBatch;
import org.fhespark.jobs.tables.RecordBatches;

/** Groups records into batches and batches into waves, as they are asked for. */
final class WaveReader implements Iterator<List<Batch>> {
  private final RecordBatches batches;
  private final List<TensorSpec> inputs;
  private final BatchSizes sizes;
  private final Measurements measurements;
  private long nextRecord;

  /**
   * @param inputs the model's inputs, as the batches hold them
   * @param sizes asked for each wave
   */
  WaveReader(
      RecordBatches batches, List<TensorSpec> inputs, BatchSizes sizes, Measurements measurements) {
    this.batches = batches;
    this.inputs = inputs;
    this.sizes = sizes;
    this.measurements = measurements;
  }

  @Override
  public boolean hasNext() {
    return batches.hasNext();
  }

  @Override
  public List<Batch> next() {
    try (var unused = measurements.time(Step.READ)) {
      int most = sizes.waveBatches();
      List<Batch> wave = new ArrayList<>();
      do {
        wave.add(nextBatch());
      } while (wave.size() < most && hasNext());
      return wave;
    }
  }

  private Batch nextBatch() {
    RecordBatch records = batches.next();
    long first = nextRecord;
    nextRecord += records.size();
    return new Batch(
        LongStream.range(first, nextRecord).toArray(),
        List.copyOf(records.rows()),
        tensors(records, inputs));
  }

  /** The inputs of a batch, copied. */
  static Map<String, Tensor> tensors(RecordBatch records, List<TensorSpec> inputs) {
    Map<String, Tensor> tensors = new HashMap<>();
    for (int i = 0; i < inputs.size(); i++) {
      TensorSpec spec = inputs.get(i);
      tensors.put(spec.name(), tensor(records, i, spec.type()));
    }
    return tensors;
  }

  private static Tensor tensor(RecordBatch records, int input, ElementType type) {
    Tensor tensor = Tensor.pooled(type, records.shape(input));
    switch (type) {
      case FLOAT -> tensor.data().asFloatBuffer().put(records.floats(input));
      case DOUBLE -> tensor.data().asDoubleBuffer().put(records.doubles(input));
      case INT32 -> tensor.data().asIntBuffer().put(records.ints(input));
      case INT64 -> tensor.data().asLongBuffer().put(records.longs(input));
    }
    return tensor;
  }
}
