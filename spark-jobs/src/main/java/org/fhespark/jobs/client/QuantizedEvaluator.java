package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedCircuit;

/**
 * The remote modules with integer weights and activations, in clear: modes DISABLE and SIMULATE.
 */
final class QuantizedEvaluator implements RemoteEvaluator {
  /** How integer activations {@code [T][dIn]} become accumulators {@code [T][dOut]}. */
  @FunctionalInterface
  interface Product {
    /** The accumulators that there are. */
    Product EXACT = (client, circuit, activations) -> circuit.accumulate(activations);

    /** Those that would be decrypted. */
    Product NOISY = ModuleClient::simulate;

    long[] of(ModuleClient client, PackedCircuit circuit, int[] activations);
  }

  private final Product product;
  private final Map<CircuitDigest, PackedCircuit> circuits;
  private final ClientThreads threads;
  private final Measurements measurements;

  /**
   * @param circuits those of the layers; they stay the caller's
   */
  QuantizedEvaluator(
      Product product,
      Map<CircuitDigest, PackedCircuit> circuits,
      ClientThreads threads,
      Measurements measurements) {
    this.product = product;
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
    long[] accumulators;
    try (var unused = measurements.time(Step.EVALUATE)) {
      accumulators = product.of(client, circuits.get(client.spec().circuit()), activations);
    }
    try (var unused = measurements.time(Step.DECRYPT)) {
      client.dequantize(accumulators, scales, block.outputs());
    }
  }
}
