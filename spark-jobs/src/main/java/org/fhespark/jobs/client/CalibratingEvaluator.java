package org.fhespark.jobs.client;

import java.util.List;

/** Mode CALIBRATE: the remote modules in float, and a look at what they read. */
final class CalibratingEvaluator implements RemoteEvaluator {
  private final FloatEvaluator modules;
  private final StatisticsGatherer gatherer;
  private final ClientThreads threads;

  CalibratingEvaluator(FloatEvaluator modules, StatisticsGatherer gatherer, ClientThreads threads) {
    this.modules = modules;
    this.gatherer = gatherer;
    this.threads = threads;
  }

  @Override
  public void evaluate(List<RemoteLayer> layers, List<Batch> wave) {
    threads.forEach(wave, batch -> layers.forEach(layer -> gatherer.look(layer, batch)));
    modules.evaluate(layers, wave);
  }
}
