package org.fhespark.metrics;

import java.io.Serializable;
import java.util.Map;
import java.util.WeakHashMap;
import org.apache.spark.SparkContext;
import org.apache.spark.util.LongAccumulator;

/**
 * What the tasks of a Spark context evaluate, in accumulators that the pages of stages show. One
 * set a context.
 *
 * <p>Spark adds what a task of a job's last stage did once, however often it was run: failed and
 * speculative attempts count nothing. So they are given to such tasks alone. A job that fails and
 * is begun again as a whole counts those of its tasks that succeeded again.
 */
public final class EvaluationAccumulators implements Serializable {
  private static final long serialVersionUID = 1L;

  private static final Map<SparkContext, EvaluationAccumulators> BY_CONTEXT = new WeakHashMap<>();

  private final LongAccumulator blocks;
  private final LongAccumulator records;
  private final LongAccumulator bytesUp;
  private final LongAccumulator bytesDown;

  private EvaluationAccumulators(SparkContext spark) {
    this.blocks = spark.longAccumulator("encrypted blocks");
    this.records = spark.longAccumulator("records in encrypted blocks");
    this.bytesUp = spark.longAccumulator("bytes up");
    this.bytesDown = spark.longAccumulator("bytes down");
  }

  /** Those of a context. */
  public static EvaluationAccumulators of(SparkContext spark) {
    synchronized (BY_CONTEXT) {
      return BY_CONTEXT.computeIfAbsent(spark, EvaluationAccumulators::new);
    }
  }

  /** Called by a task. */
  public void add(EvaluatedBlocks done) {
    blocks.add(done.blocks());
    records.add(done.records());
    bytesUp.add(done.bytesUp());
    bytesDown.add(done.bytesDown());
  }

  /** Called by the driver; {@link EvaluatedBlocks#values} are not counted. */
  public EvaluatedBlocks total() {
    return new EvaluatedBlocks(blocks.sum(), records.sum(), bytesUp.sum(), bytesDown.sum(), 0);
  }
}
