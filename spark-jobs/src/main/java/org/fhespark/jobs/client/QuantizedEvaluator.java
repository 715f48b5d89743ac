package org.fhespark.jobs.client;

import java.util.List;
import java.util.Map;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.PackedCircuit;

/** Mode DISABLE: the remote modules with integer weights and activations, in clear. */
final class QuantizedEvaluator implements RemoteEvaluator {
  private final Map<CircuitDigest, PackedCircuit> circuits;
  private final ClientThreads threads;
  private final Measurements measurements;

  QuantizedEvaluator(
      Map<CircuitDigest, PackedCircuit> circuits,
      ClientThreads threads,
      Measurements measurements) {
    this.circuits = circuits;
    this.threads = threads;
    this.measurements = measurements;
  }

  @Override
  public void evaluate(List<RemoteLayer> layers, List<Batch> wave) {
    threads.forEach(wave, batch -> layers.forEach(layer -> evaluate(layer, batch)));
  }

  private void evaluate(RemoteLayer layer, Batch batch) {
    Tensor input = layer.inputOf(batch);
    Tensor output = layer.allocateOutput(batch);
    float[] scales = new float[input.rows()];
    int[] activations;
    try (var unused = measurements.time(Step.ENCRYPT)) {
      activations = layer.client().quantize(input.data(), scales);
    } catch (InvalidInputException error) {
      throw layer.explain(error, batch, 0);
    }
    long[] accumulators;
    try (var unused = measurements.time(Step.EVALUATE)) {
      accumulators = circuits.get(layer.client().spec().circuit()).accumulate(activations);
    }
    try (var unused = measurements.time(Step.DECRYPT)) {
      layer.client().dequantize(accumulators, scales, output.data());
    }
  }

  @Override
  public void close() {
    circuits.values().forEach(PackedCircuit::close);
  }
}
