package org.fhespark.jobs.client;

import java.util.List;

/** Evaluates the remote layers of one stage for the batches of a wave. */
interface RemoteEvaluator extends AutoCloseable {
  /**
   * Reads the layers' inputs from each batch and puts their outputs there.
   *
   * @param layers the layers of one stage
   * @param wave batches that travel together
   */
  void evaluate(List<RemoteLayer> layers, List<Batch> wave);

  /** Does ahead what masks cost, and gives them to their layers. */
  default void prepare(List<MaskDemand> masks) {}

  /** Makes evaluations that are under way end soon, with an error. */
  default void cancel() {}

  @Override
  default void close() {}
}
