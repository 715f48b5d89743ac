package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The order in which a model's parts run: the clear segment of stage s, the remote layers of stage
 * s, the segment of stage s + 1, and so on.
 */
final class Schedule {
  private final SortedMap<Integer, OnnxSegment> segments;
  private final SortedMap<Integer, List<RemoteLayer>> layers = new TreeMap<>();
  private final RemoteEvaluator evaluator;
  private final ClientThreads threads;
  private final Measurements measurements;

  /**
   * @param segments clear segments by the stage they run before
   */
  Schedule(
      Map<Integer, OnnxSegment> segments,
      List<RemoteLayer> layers,
      RemoteEvaluator evaluator,
      ClientThreads threads,
      Measurements measurements) {
    this.segments = new TreeMap<>(segments);
    for (RemoteLayer layer : layers) {
      this.layers.computeIfAbsent(layer.spec().stage(), stage -> new ArrayList<>()).add(layer);
    }
    this.evaluator = evaluator;
    this.threads = threads;
    this.measurements = measurements;
  }

  /** Takes a wave of batches through the model; afterwards their tensors hold the outputs. */
  void run(List<Batch> wave) {
    int last =
        Math.max(
            segments.isEmpty() ? 0 : segments.lastKey(), layers.isEmpty() ? 0 : layers.lastKey());
    for (int stage = 0; stage <= last; stage++) {
      OnnxSegment segment = segments.get(stage);
      if (segment != null) {
        threads.forEach(
            wave,
            batch -> {
              try (var unused = measurements.time(Step.CLEAR)) {
                segment.run(batch);
              }
            });
      }
      List<RemoteLayer> remote = layers.get(stage);
      if (remote != null) {
        evaluator.evaluate(remote, wave);
      }
    }
  }

  /** Makes waves that still run end soon. */
  void cancel() {
    evaluator.cancel();
  }
}
