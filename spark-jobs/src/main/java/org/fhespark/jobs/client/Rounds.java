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
 * The order in which a model's parts run. A round is a stage with remote layers: what the client
 * does in clear up to it, the layers, and so on to the next; behind the last round the client goes
 * on to the end.
 */
final class Rounds {
  private final SortedMap<Integer, OnnxSegment> segments;
  private final SortedMap<Integer, List<RemoteLayer>> layers = new TreeMap<>();

  /** Stages of the rounds. */
  private final List<Integer> stages;

  private final int lastStage;

  /** Tensors by the stage that reads them last. */
  private final Map<Integer, Set<String>> lastReads = new HashMap<>();

  private final ClientThreads threads;
  private final Measurements measurements;

  /**
   * @param segments clear segments by the stage they run before
   * @param outputs tensors that are kept to the end; others go once nothing reads them any more
   */
  Rounds(
      Map<Integer, OnnxSegment> segments,
      List<RemoteLayer> layers,
      Collection<String> outputs,
      ClientThreads threads,
      Measurements measurements) {
    this.segments = new TreeMap<>(segments);
    for (RemoteLayer layer : layers) {
      this.layers.computeIfAbsent(layer.spec().stage(), stage -> new ArrayList<>()).add(layer);
    }
    this.stages = List.copyOf(this.layers.keySet());
    this.lastStage =
        Math.max(
            segments.isEmpty() ? 0 : this.segments.lastKey(),
            layers.isEmpty() ? 0 : this.layers.lastKey());
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
    this.threads = threads;
    this.measurements = measurements;
  }

  /** Their number. */
  int count() {
    return stages.size();
  }

  /** The remote layers of a round, from 0. */
  List<RemoteLayer> layers(int round) {
    return layers.get(stages.get(round));
  }

  /**
   * Does what is in clear before a round: takes a wave from the model's inputs, or from the outputs
   * of the round before, to the inputs of the round's layers. Before round {@link #count} that is
   * all there is left; afterwards the tensors hold the model's outputs.
   */
  void runClear(int round, List<Batch> wave) {
    int stage = 0;
    if (round > 0) {
      stage = stages.get(round - 1);
      drop(stage, wave);
      stage++;
    }
    int end = round < count() ? stages.get(round) : lastStage + 1;
    for (; stage < end; stage++) {
      runSegment(stage, wave);
      drop(stage, wave);
    }
    if (round < count()) {
      runSegment(end, wave);
    }
  }

  private void runSegment(int stage, List<Batch> wave) {
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
  }

  private void drop(int stage, List<Batch> wave) {
    Set<String> dead = lastReads.getOrDefault(stage, Set.of());
    wave.forEach(batch -> batch.drop(dead));
  }
}
