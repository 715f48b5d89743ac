package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ModuleClient;

/**
 * The remote modules with integer weights and activations, in clear: modes DISABLE and SIMULATE.
 */
final class QuantizedEvaluator implements RemoteEvaluator {
  /** How integer activations {@code [T][dIn]} become accumulators, or phases, {@code [T][dOut]}. */
  @FunctionalInterface
  interface Product {
    long[] of(ModuleClient client, int[] activations);
  }

  private final Map<CircuitDigest, Product> circuits;
  private final ClientThreads threads;
  private final Measurements measurements;

  /**
   * @param circuits those of the layers; what they use stays the caller's
   */
  QuantizedEvaluator(
      Map<CircuitDigest, Product> circuits, ClientThreads threads, Measurements measurements) {
    this.circuits = circuits;
    this.threads = threads;
    this.measurements = measurements;
  }

  @Override
  public void evaluate(List<RemoteLayer> layers, List<Batch> wave) {
    int wanted = WavePipeline.workersOfAWave(threads.cores());
    List<RowBlock> blocks = new ArrayList<>();
    for (RemoteLayer layer : layers) {
      blocks.addAll(RowBlock.of(layer, wave, wanted));
    }
    threads.forEach(blocks, this::evaluate);
  }

  private void evaluate(RowBlock block) {
    ModuleClient client = block.layer().client();
    float[] scales = new float[block.rows()];
    int[] activations;
    try (var unused = measurements.time(Step.ENCRYPT)) {
      activations = client.quantize(block.inputs(), scales);
    } catch (InvalidInputException error) {
      throw block.explain(error);
    }
    long[] results;
    try (var unused = measurements.time(Step.EVALUATE)) {
      results = circuits.get(client.spec().circuit()).of(client, activations);
    }
    try (var unused = measurements.time(Step.DECRYPT)) {
      block.layer().dequantize(results, scales, block.outputs());
    }
  }
}
