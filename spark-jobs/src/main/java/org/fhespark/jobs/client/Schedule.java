package org.fhespark.jobs.client;

import java.util.Collection;
import java.util.List;
import java.util.Map;

/** All rounds of a model, with the evaluator of their remote layers at hand. */
final class Schedule {
  private final Rounds rounds;
  private final RemoteEvaluator evaluator;

  Schedule(Rounds rounds, RemoteEvaluator evaluator) {
    this.rounds = rounds;
    this.evaluator = evaluator;
  }

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
    this(new Rounds(segments, layers, outputs, threads, measurements), evaluator);
  }

  /** Takes a wave of batches through the model; afterwards their tensors hold the outputs. */
  void run(List<Batch> wave) {
    for (int round = 0; round < rounds.count(); round++) {
      rounds.runClear(round, wave);
      evaluator.evaluate(rounds.layers(round), wave);
    }
    rounds.runClear(rounds.count(), wave);
  }

  /** Makes waves that still run end soon. */
  void cancel() {
    evaluator.cancel();
  }
}
