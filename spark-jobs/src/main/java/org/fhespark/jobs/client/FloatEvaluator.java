package org.fhespark.jobs.client;

import java.util.List;
import java.util.Map;
import org.fhespark.compiler.artifact.CallOutput;

/** Mode TORCH: the remote modules in float, in clear. */
final class FloatEvaluator implements RemoteEvaluator {
  private final Map<String, OnnxSegment> modules;
  private final ClientThreads threads;
  private final Measurements measurements;

  /**
   * @param modules the float modules by key; they stay the caller's
   */
  FloatEvaluator(
      Map<String, OnnxSegment> modules, ClientThreads threads, Measurements measurements) {
    this.modules = modules;
    this.threads = threads;
    this.measurements = measurements;
  }

  @Override
  public void evaluate(List<RemoteLayer> layers, List<Batch> wave) {
    threads.forEach(
        wave,
        batch -> {
          for (RemoteLayer layer : layers) {
            try (var unused = measurements.time(Step.EVALUATE)) {
              for (CallOutput output : layer.spec().outputs()) {
                OnnxSegment module = modules.get(output.module());
                batch.put(output.tensor(), module.apply(layer.inputOf(batch)));
              }
            }
          }
        });
  }
}
