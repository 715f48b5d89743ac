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

  /** A part of a tensor that travels as one block. */
  private record Slice(
      RemoteLayer layer, Batch batch, Tensor output, int firstRow, int rows, long number) {
    /** What it occupies on the driver, on the way up and down. */
    long bytes() {
      return layer.bytesUp(rows) + layer.bytesDown(rows);
    }
  }

  /** A slice, encrypted, with what decryption will need. */
  private record EncryptedSlice(Slice slice, float[] scales, EncryptedBlock block) {}

  @Override
  public void evaluate(List<RemoteLayer> layers, List<Batch> wave) {
    String modules = String.join(", ", layers.stream().map(RemoteLayer::module).toList());
    List<Slice> job = new ArrayList<>();
    long bytes = 0;
    for (Slice slice : slices(layers, wave)) {
      if (!job.isEmpty() && bytes + slice.bytes() > jobBytes) {
        evaluate(modules, job);
        job.clear();
        bytes = 0;
      }
      job.add(slice);
      bytes += slice.bytes();
    }
    evaluate(modules, job);
  }

  /** Encrypts slices, evaluates them in one Spark job and decrypts the results. */
  private void evaluate(String modules, List<Slice> slices) {
    List<EncryptedSlice> encrypted = encrypt(slices);
    progress.blocksSent(modules, encrypted.size());
    List<EncryptedBlock> blocks = encrypted.stream().map(EncryptedSlice::block).toList();
    for (EncryptedSlice one : encrypted) {
      measurements.bytesUp.add(one.block().length());
      measurements.valuesUp.add(
          (long) one.slice().rows() * one.slice().layer().client().spec().inputs());
    }
    EvaluationRdd results = new EvaluationRdd(spark.sc(), blocks, new EvaluateBlocks(circuits));
    Decryption decryption = new Decryption(encrypted);
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

  private List<Slice> slices(List<RemoteLayer> layers, List<Batch> wave) {
    List<Slice> slices = new ArrayList<>();
    for (Batch batch : wave) {
      for (RemoteLayer layer : layers) {
        Tensor output = layer.allocateOutput(batch);
        int rows = output.rows();
        for (int first = 0; first < rows; first += layer.blockRows()) {
          int count = Math.min(layer.blockRows(), rows - first);
          slices.add(new Slice(layer, batch, output, first, count, nextBlock.getAndIncrement()));
        }
      }
    }
    return slices;
  }

  private List<EncryptedSlice> encrypt(List<Slice> slices) {
    List<Future<EncryptedSlice>> futures = new ArrayList<>();
    for (Slice slice : slices) {
      futures.add(threads.submit(() -> encrypt(slice, threads.coresEach(slices.size()))));
    }
    ClientThreads.awaitAll(futures);
    return futures.stream().map(ClientThreads::await).toList();
  }

  private EncryptedSlice encrypt(Slice slice, int cores) {
    float[] scales = new float[slice.rows()];
    Tensor input = slice.layer().inputOf(slice.batch());
    try (var unused = measurements.time(Step.ENCRYPT)) {
      ModuleClient client = slice.layer().client();
      EncryptedBlock block = EncryptedBlock.allocate(client.blockBytes(slice.rows()));
      client.encrypt(
          input.rowBytes(slice.firstRow(), slice.rows()),
          scales,
          slice.number(),
          cores,
          block.bytes());
      return new EncryptedSlice(slice, scales, block);
    } catch (InvalidInputException error) {
      throw slice.layer().explain(error, slice.batch(), slice.firstRow());
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
    private final List<EncryptedSlice> slices;
    private final List<Future<?>> futures = new ArrayList<>();
    private final HashSet<Integer> seen = new HashSet<>();

    Decryption(List<EncryptedSlice> slices) {
      this.slices = slices;
    }

    @Override
    public synchronized BoxedUnit apply(Object partition, EncryptedBlock result) {
      int index = (Integer) partition;
      // Once a partition, whatever is retried or speculated; a second time would only cost.
      if (seen.add(index)) {
        futures.add(
            threads.submit(
                () -> {
                  decrypt(slices.get(index), result);
                  return null;
                }));
      } else {
        result.close();
      }
      return BoxedUnit.UNIT;
    }

    private void decrypt(EncryptedSlice sent, EncryptedBlock result) {
      Slice slice = sent.slice();
      measurements.bytesDown.add(result.length());
      measurements.valuesDown.add((long) slice.rows() * slice.layer().client().spec().outputs());
      try (result;
          var unused = measurements.time(Step.DECRYPT)) {
        slice
            .layer()
            .client()
            .decrypt(
                result.bytes(),
                slice.number(),
                sent.scales(),
                threads.coresEach(slices.size()),
                slice.output().rowBytes(slice.firstRow(), slice.rows()));
      } catch (InvalidInputException error) {
        throw new InvalidInputException(
            "module "
                + slice.layer().module()
                + ": the result cannot be used: "
                + error.getMessage(),
            error);
      }
      progress.blockDone();
    }

    synchronized void await() {
      ClientThreads.awaitAll(futures);
      if (futures.size() != slices.size()) {
        throw new IllegalStateException(
            futures.size() + " of " + slices.size() + " blocks came back");
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
