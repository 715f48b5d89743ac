package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The order in which a model's parts run: the clear segment of stage s, the remote layers of stage
 * s, the segment of stage s + 1, and so on.
 */
final class Schedule {
  private final SortedMap<Integer, OnnxSegment> segments;
  private final SortedMap<Integer, List<RemoteLayer>> layers = new TreeMap<>();

  /** Tensors by the stage that reads them last. */
  private final Map<Integer, Set<String>> lastReads = new HashMap<>();

  private final RemoteEvaluator evaluator;
  private final ClientThreads threads;
  private final Measurements measurements;

  /**
   * @param segments clear segments by the stage they run before
   * @param outputs tensors that are kept to the end; others go once nothing reads them any more
   */
  Schedule(
      Map<Integer, OnnxSegment> segments,
      List<RemoteLayer> layers,
      Collection<String> outputs,
      RemoteEvaluator evaluator,
      ClientThreads threads,
      Measurements measurements) {
    this.segments = new TreeMap<>(segments);
    for (RemoteLayer layer : layers) {
      this.layers.computeIfAbsent(layer.spec().stage(), stage -> new ArrayList<>()).add(layer);
    }
    Map<String, Integer> lastStages = new HashMap<>();
    segments.forEach(
        (stage, segment) ->
            segment.inputs().forEach(input -> lastStages.merge(input, stage, Math::max)));
    for (RemoteLayer layer : layers) {
      for (String input : layer.reads()) {
        lastStages.merge(input, layer.spec().stage(), Math::max);
      }
    }
    lastStages.keySet().removeAll(outputs);
    lastStages.forEach(
        (tensor, stage) -> lastReads.computeIfAbsent(stage, unused -> new HashSet<>()).add(tensor));
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
      Set<String> dead = lastReads.getOrDefault(stage, Set.of());
      wave.forEach(batch -> batch.drop(dead));
    }
  }

  /** Makes waves that still run end soon. */
  void cancel() {
    evaluator.cancel();
  }
}
