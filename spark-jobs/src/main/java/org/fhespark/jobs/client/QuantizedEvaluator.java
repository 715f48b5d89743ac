package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The remote modules as circuits compute them, in clear: modes DISABLE and SIMULATE. */
final class QuantizedEvaluator implements RemoteEvaluator {
  /** Rows that a leveled circuit takes at a time, for no block has to be filled in clear. */
  private static final int LEVELED_ROWS = 1024;

  private final Map<String, ClearCircuit> circuits;
  private final ClientThreads threads;
  private final Measurements measurements;

  /**
   * @param circuits those of the layers, by their digest in hexadecimal; what they use stays the
   *     caller's
   */
  QuantizedEvaluator(
      Map<String, ClearCircuit> circuits, ClientThreads threads, Measurements measurements) {
    this.circuits = circuits;
    this.threads = threads;
    this.measurements = measurements;
  }

  @Override
  public void evaluate(List<RemoteLayer> layers, List<Batch> wave) {
    int wanted = WavePipeline.workersOfAWave(threads.cores());
    List<RowBlock> blocks = new ArrayList<>();
    for (RemoteLayer layer : layers) {
      for (RowBlock block : RowBlock.of(layer, wave, wanted)) {
        blocks.addAll(layer.spec().isLeveled() ? block.split(LEVELED_ROWS) : List.of(block));
      }
    }
    threads.forEach(
        blocks,
        block -> circuits.get(block.layer().spec().circuitDigest()).evaluate(block, measurements));
  }
}
