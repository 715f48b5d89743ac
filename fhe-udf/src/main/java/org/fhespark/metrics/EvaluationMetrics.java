package org.fhespark.metrics;

import com.codahale.metrics.Counter;
import com.codahale.metrics.ExponentiallyDecayingReservoir;
import com.codahale.metrics.Gauge;
import com.codahale.metrics.Histogram;
import com.codahale.metrics.MetricRegistry;
import org.fhespark.udf.CircuitRegistry;

/**
 * What evaluations in this JVM have done since it began. They count attempts: a task that Spark
 * runs again, or twice at a time, counts again. {@link EvaluationAccumulators} count once.
 */
public final class EvaluationMetrics {
  private static final EvaluationMetrics SHARED = new EvaluationMetrics();

  /** Linear layers take nanoseconds a value or less. */
  private static final double VALUES = 1000;

  private final Counter blocks = new Counter();
  private final Counter records = new Counter();
  private final Counter bytesIn = new Counter();
  private final Counter bytesOut = new Counter();
  private final Counter failedBlocks = new Counter();
  private final Histogram nanosPer1000Values = new Histogram(new ExponentiallyDecayingReservoir());

  private EvaluationMetrics() {}

  /** Those of this JVM. */
  public static EvaluationMetrics shared() {
    return SHARED;
  }

  /**
   * Blocks were evaluated together.
   *
   * @param nanos that it took
   */
  public void evaluated(EvaluatedBlocks done, long nanos) {
    blocks.inc(done.blocks());
    records.inc(done.records());
    bytesIn.inc(done.bytesUp());
    bytesOut.inc(done.bytesDown());
    if (done.values() > 0) {
      nanosPer1000Values.update(Math.round(nanos * VALUES / done.values()));
    }
  }

  /** Blocks could not be evaluated; killed tasks are no failures. */
  public void failed(int blocks) {
    failedBlocks.inc(blocks);
  }

  void registerIn(MetricRegistry registry) {
    registry.register("blocks", blocks);
    registry.register("records", records);
    registry.register("bytesIn", bytesIn);
    registry.register("bytesOut", bytesOut);
    registry.register("failedBlocks", failedBlocks);
    registry.register("nanosPer1000Values", nanosPer1000Values);
    CircuitRegistry circuits = CircuitRegistry.shared();
    registry.register("circuits", (Gauge<Integer>) circuits::size);
    registry.register("circuitBytes", (Gauge<Long>) circuits::circuitBytes);
    registry.register("evaluationKeys", (Gauge<Integer>) circuits::evaluationKeys);
    registry.register("evaluationKeyBytes", (Gauge<Long>) circuits::evaluationKeyBytes);
  }
}
