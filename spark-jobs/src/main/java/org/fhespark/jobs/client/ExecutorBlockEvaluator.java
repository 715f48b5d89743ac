package org.fhespark.jobs.client;

import java.io.Serializable;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.function.ObjIntConsumer;
import org.apache.spark.SparkException;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.blocks.JobDescription;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.EncryptedBlock;
import org.fhespark.udf.EvaluationRdd;
import org.fhespark.udf.PublicKeyBytes;
import scala.collection.Iterator;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/**
 * The executors of this Spark session: each call is a Spark job, a task a block, and results are
 * handed over as their tasks end.
 */
final class ExecutorBlockEvaluator implements BlockEvaluator {
  /** Bytes of blocks and results that one job may hold on the driver. */
  static final long JOB_BYTES = 256L << 20;

  private final JavaSparkContext spark;
  private final SentCircuits sent;
  private final long jobBytes;
  private volatile boolean isCancelled;

  /** Marks this run's jobs, so that a failed run takes its jobs with it. */
  private final String jobTag = "fhe-spark-" + UUID.randomUUID();

  /**
   * @param keys the evaluation keys of circuits with look-ups, by the circuit's digest
   * @param publicKeys by the id of the client key, for circuits that re-randomise results
   */
  ExecutorBlockEvaluator(
      JavaSparkContext spark,
      List<Circuit> circuits,
      Map<String, EvaluationKeyFiles.Checked> keys,
      Map<String, PublicKeyBytes> publicKeys) {
    this.spark = spark;
    this.sent = new SentCircuits(spark);
    long largestResult = spark.getConf().getSizeAsBytes("spark.driver.maxResultSize", "1g");
    // 0 stands for no limit; the margin is for what Spark sends along.
    this.jobBytes = largestResult == 0 ? JOB_BYTES : Math.min(JOB_BYTES, largestResult / 4 * 3);
    try {
      circuits.forEach(sent::send);
      keys.forEach(sent::sendKey);
      publicKeys.forEach(sent::sendPublicKey);
    } catch (Throwable error) {
      close();
      // Scala does not declare it.
      if (error instanceof InterruptedException) {
        Thread.currentThread().interrupt();
        throw new CancellationException("the run was interrupted");
      }
      throw error;
    }
  }

  @Override
  public int parallelism() {
    return Math.max(1, spark.defaultParallelism());
  }

  @Override
  public long mostBytes() {
    return jobBytes;
  }

  @Override
  public void evaluate(
      String description,
      Set<String> needed,
      List<EncryptedBlock> blocks,
      ObjIntConsumer<EncryptedBlock> results) {
    String told = description + ": " + blocks.size() + " encrypted blocks";
    spark.sc().addJobTag(jobTag);
    // Masks are prepared on the caller's thread, whose description stays.
    try (JobDescription unused = JobDescription.set(spark.sc(), told);
        EvaluationRdd evaluation = new EvaluationRdd(spark.sc(), blocks, sent.workOf(needed))) {
      if (isCancelled) {
        throw new CancellationException("the run was cancelled");
      }
      spark
          .sc()
          .runJob(
              evaluation,
              new SingleBlock(),
              new Handover(results),
              ClassTag$.MODULE$.apply(EncryptedBlock.class));
    } catch (Exception error) {
      throw explain(error);
    } finally {
      spark.sc().removeJobTag(jobTag);
    }
  }

  static RuntimeException explain(Exception error) {
    Optional<InvalidInputException> invalid = InvalidInputException.in(error);
    if (invalid.isPresent()) {
      return invalid.get();
    }
    // No task threw it, or its executor lacked a file.
    if (error instanceof SparkException
        && (error.getCause() == null || error.getCause() instanceof UncheckedIOException)) {
      return new FailedJobException(error);
    }
    String kind = error instanceof SparkException ? "the Spark job failed" : "evaluation failed";
    return new IllegalStateException(kind + ": " + error.getMessage(), error);
  }

  @Override
  public void cancel() {
    isCancelled = true;
    spark.sc().cancelJobsWithTag(jobTag);
  }

  @Override
  public void close() {
    sent.close();
  }

  /**
   * Takes the only result of a partition. With a function of the iterator alone, Spark would wrap
   * it in a closure of its own, and read classes in every job to clean that.
   */
  private static final class SingleBlock
      extends AbstractFunction2<TaskContext, Iterator<EncryptedBlock>, EncryptedBlock>
      implements Serializable {
    private static final long serialVersionUID = 1L;

    @Override
    public EncryptedBlock apply(TaskContext task, Iterator<EncryptedBlock> results) {
      return results.next();
    }
  }

  /** Called on the thread of Spark's scheduler. */
  private static final class Handover extends AbstractFunction2<Object, EncryptedBlock, BoxedUnit> {
    private final ObjIntConsumer<EncryptedBlock> results;

    Handover(ObjIntConsumer<EncryptedBlock> results) {
      this.results = results;
    }

    @Override
    public BoxedUnit apply(Object partition, EncryptedBlock result) {
      results.accept(result, (Integer) partition);
      return BoxedUnit.UNIT;
    }
  }
}
