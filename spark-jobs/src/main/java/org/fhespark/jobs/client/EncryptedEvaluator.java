package org.fhespark.jobs.client;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.SparkException;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.EncryptedBlock;
import org.fhespark.udf.EvaluateBlocks;
import org.fhespark.udf.EvaluationRdd;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.collection.Iterator;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/**
 * Mode EXECUTE: the remote modules under FHE on the executors.
 *
 * <p>A wave's blocks of one stage are one Spark job, a task a block; results are decrypted as their
 * tasks end.
 */
final class EncryptedEvaluator implements RemoteEvaluator {
  private static final Logger LOG = LoggerFactory.getLogger(EncryptedEvaluator.class);

  /** Bytes of blocks and results that one job may hold on the driver. */
  static final long WAVE_BYTES = 256L << 20;

  private final JavaSparkContext spark;
  private final Map<String, Broadcast<Circuit>> circuits = new HashMap<>();
  private final ClientThreads threads;
  private final Measurements measurements;
  private final ScoreProgress progress;
  private final AtomicLong nextBlock = new AtomicLong();
  private final long jobBytes;
  private volatile boolean isCancelled;

  /** Marks this run's jobs, so that a failed run takes its jobs with it. */
  private final String jobTag = "fhe-spark-" + UUID.randomUUID();

  EncryptedEvaluator(
      JavaSparkContext spark,
      List<Circuit> circuits,
      ClientThreads threads,
      Measurements measurements,
      ScoreProgress progress) {
    this.spark = spark;
    this.threads = threads;
    this.measurements = measurements;
    this.progress = progress;
    long largestResult = spark.getConf().getSizeAsBytes("spark.driver.maxResultSize", "1g");
    // 0 stands for no limit; the margin is for what Spark sends along.
    this.jobBytes = largestResult == 0 ? WAVE_BYTES : Math.min(WAVE_BYTES, largestResult / 4 * 3);
    for (Circuit circuit : circuits) {
      this.circuits.put(circuit.digest().hex(), spark.broadcast(circuit));
    }
  }

  /** Rows that were encrypted, with what decryption will need. */
  private record SentBlock(RowBlock rows, long number, float[] scales, EncryptedBlock block) {}

  @Override
  public void evaluate(List<RemoteLayer> layers, List<Batch> wave) {
    String modules = String.join(", ", layers.stream().map(RemoteLayer::name).toList());
    List<RowBlock> job = new ArrayList<>();
    long bytes = 0;
    for (RemoteLayer layer : layers) {
      for (RowBlock rows : RowBlock.of(layer, wave)) {
        if (!job.isEmpty() && bytes + rows.bytes() > jobBytes) {
          evaluate(modules, job);
          job.clear();
          bytes = 0;
        }
        job.add(rows);
        bytes += rows.bytes();
      }
    }
    if (!job.isEmpty()) {
      evaluate(modules, job);
    }
  }

  /** Encrypts rows, evaluates them in one Spark job and decrypts the results. */
  private void evaluate(String modules, List<RowBlock> rows) {
    List<SentBlock> sent = encrypt(rows);
    progress.blocksSent(modules, sent.size());
    List<EncryptedBlock> blocks = sent.stream().map(SentBlock::block).toList();
    for (SentBlock one : sent) {
      measurements.bytesUp.add(one.block().length());
      measurements.valuesUp.add((long) one.scales().length * one.rows().layer().spec().dIn());
    }
    EvaluationRdd results = new EvaluationRdd(spark.sc(), blocks, new EvaluateBlocks(circuits));
    Decryption decryption = new Decryption(sent);
    spark.sc().addJobTag(jobTag);
    spark.setJobDescription(modules + ": " + blocks.size() + " encrypted blocks");
    long start = System.nanoTime();
    try {
      if (isCancelled) {
        throw new CancellationException("the run was cancelled");
      }
      spark
          .sc()
          .runJob(
              results,
              new SingleBlock(),
              decryption,
              ClassTag$.MODULE$.apply(EncryptedBlock.class));
    } catch (Exception error) {
      decryption.abandon();
      throw explain(error);
    } finally {
      blocks.forEach(EncryptedBlock::close);
      spark.setJobDescription(null);
      spark.sc().removeJobTag(jobTag);
    }
    measurements.addNanos(Step.EVALUATE, System.nanoTime() - start);
    decryption.await();
  }

  private List<SentBlock> encrypt(List<RowBlock> blocks) {
    List<Future<SentBlock>> futures = new ArrayList<>();
    for (RowBlock rows : blocks) {
      futures.add(threads.submit(() -> encrypt(rows, threads.coresEach(blocks.size()))));
    }
    ClientThreads.awaitAll(futures);
    return futures.stream().map(ClientThreads::await).toList();
  }

  private SentBlock encrypt(RowBlock rows, int cores) {
    float[] scales = new float[rows.rows()];
    long number = nextBlock.getAndIncrement();
    try (var unused = measurements.time(Step.ENCRYPT)) {
      ModuleClient client = rows.layer().client();
      EncryptedBlock block = EncryptedBlock.allocate(client.blockBytes(scales.length));
      client.encrypt(rows.inputs(), scales, number, cores, block.bytes());
      return new SentBlock(rows, number, scales, block);
    } catch (InvalidInputException error) {
      throw rows.explain(error);
    }
  }

  private static RuntimeException explain(Exception error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof InvalidInputException invalid) {
        return invalid;
      }
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
    // A context that was stopped has no broadcasts left.
    if (!spark.sc().isStopped()) {
      // Blocking: a session that is stopped right after would log the removal's failure.
      circuits.values().forEach(circuit -> circuit.destroy(true));
    }
  }

  /** Takes the only result of a partition. */
  private static final class SingleBlock
      extends AbstractFunction1<Iterator<EncryptedBlock>, EncryptedBlock> implements Serializable {
    private static final long serialVersionUID = 1L;

    @Override
    public EncryptedBlock apply(Iterator<EncryptedBlock> results) {
      return results.next();
    }
  }

  /**
   * Decrypts results as tasks end. Spark calls it on its scheduler's thread, so it only hands on.
   */
  private final class Decryption extends AbstractFunction2<Object, EncryptedBlock, BoxedUnit> {
    private final List<SentBlock> blocks;
    private final List<Future<?>> futures = new ArrayList<>();
    private final HashSet<Integer> seen = new HashSet<>();

    Decryption(List<SentBlock> blocks) {
      this.blocks = blocks;
    }

    @Override
    public synchronized BoxedUnit apply(Object partition, EncryptedBlock result) {
      int index = (Integer) partition;
      // Once a partition, whatever is retried or speculated; a second time would only cost.
      if (seen.add(index)) {
        futures.add(
            threads.submit(
                () -> {
                  decrypt(blocks.get(index), result);
                  return null;
                }));
      } else {
        result.close();
      }
      return BoxedUnit.UNIT;
    }

    private void decrypt(SentBlock sent, EncryptedBlock result) {
      RemoteLayer layer = sent.rows().layer();
      measurements.bytesDown.add(result.length());
      measurements.valuesDown.add((long) sent.scales().length * layer.spec().dOut());
      try (result;
          var unused = measurements.time(Step.DECRYPT)) {
        layer
            .client()
            .decrypt(
                result.bytes(),
                sent.number(),
                sent.scales(),
                threads.coresEach(blocks.size()),
                sent.rows().outputs());
      } catch (InvalidInputException error) {
        throw new InvalidInputException(
            "module " + layer.name() + ": the result cannot be used: " + error.getMessage(), error);
      }
      progress.blockDone();
    }

    synchronized void await() {
      ClientThreads.awaitAll(futures);
      if (futures.size() != blocks.size()) {
        throw new IllegalStateException(
            futures.size() + " of " + blocks.size() + " blocks came back");
      }
    }

    /** Waits for what has begun, whatever becomes of it: it reads keys and tensors. */
    synchronized void abandon() {
      try {
        ClientThreads.awaitAll(futures);
      } catch (RuntimeException error) {
        // The failure of the job is what counts.
        LOG.debug("a result of an abandoned job could not be decrypted", error);
      }
    }
  }
}
