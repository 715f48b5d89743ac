package org.fhespark.jobs.client;

import static java.util.stream.Collectors.joining;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.spark.SparkException;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.MaskOrder;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.OutputRows;
import org.fhespark.nativelib.PreparedMask;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.CircuitRegistry;
import org.fhespark.udf.EncryptedBlock;
import org.fhespark.udf.EvaluateBlocks;
import org.fhespark.udf.EvaluationKeySource;
import org.fhespark.udf.EvaluationRdd;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.collection.Iterator;
import scala.reflect.ClassTag$;
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
  private final Map<String, EvaluationKeySource> keys = new HashMap<>();
  private final SentEvaluationKeys sentKeys;
  private final ClientThreads threads;
  private final Measurements measurements;
  private final ScoreProgress progress;
  private final AtomicLong nextBlock = new AtomicLong();
  private final long jobBytes;
  private volatile boolean isCancelled;

  /** Marks this run's jobs, so that a failed run takes its jobs with it. */
  private final String jobTag = "fhe-spark-" + UUID.randomUUID();

  /**
   * @param keys the evaluation keys of circuits with look-ups, by the circuit's digest
   */
  EncryptedEvaluator(
      JavaSparkContext spark,
      List<Circuit> circuits,
      Map<String, EvaluationKeyFiles.Checked> keys,
      ClientThreads threads,
      Measurements measurements,
      ScoreProgress progress) {
    this.spark = spark;
    this.sentKeys = new SentEvaluationKeys(spark);
    this.threads = threads;
    this.measurements = measurements;
    this.progress = progress;
    long largestResult = spark.getConf().getSizeAsBytes("spark.driver.maxResultSize", "1g");
    // 0 stands for no limit; the margin is for what Spark sends along.
    this.jobBytes = largestResult == 0 ? WAVE_BYTES : Math.min(WAVE_BYTES, largestResult / 4 * 3);
    try {
      for (Circuit circuit : circuits) {
        this.circuits.put(circuit.digest().hex(), spark.broadcast(circuit));
      }
      keys.forEach((circuit, key) -> this.keys.put(circuit, sentKeys.send(key)));
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

  /**
   * Rows that were encrypted, with what decryption will need.
   *
   * @param slots those of a prepared mask, if the rows were encrypted under one
   */
  private record SentBlock(
      RowBlock rows,
      long number,
      float[] scales,
      EncryptedBlock block,
      Optional<PreparedMasks.Slots> slots) {}

  @Override
  public void evaluate(List<RemoteLayer> layers, List<Batch> wave) {
    String modules = String.join(", ", layers.stream().map(RemoteLayer::name).toList());
    int wanted = WavePipeline.workersOfAWave(spark.defaultParallelism());
    List<RowBlock> job = new ArrayList<>();
    long bytes = 0;
    for (RemoteLayer layer : layers) {
      for (RowBlock rows : RowBlock.of(layer, wave, wanted)) {
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
    for (SentBlock one : sent) {
      measurements.valuesUp.add((long) one.scales().length * one.rows().layer().spec().dIn());
    }
    evaluate(
        modules,
        rows.stream().map(RowBlock::layer).toList(),
        sent.stream().map(SentBlock::block).toList(),
        (index, result) -> decrypt(sent.get(index), result, threads.coresEach(sent.size())));
  }

  /** As many masks a job as their results, which are large, may lie on the driver together. */
  @Override
  public void prepare(List<MaskDemand> masks) {
    List<MaskDemand> job = new ArrayList<>();
    long bytes = 0;
    for (MaskDemand mask : masks) {
      if (!job.isEmpty() && bytes + mask.resultBytes() > jobBytes) {
        prepareTogether(job);
        job.clear();
        bytes = 0;
      }
      job.add(mask);
      bytes += mask.resultBytes();
    }
    if (!job.isEmpty()) {
      prepareTogether(job);
    }
  }

  /** Has some masks evaluated in one Spark job and makes them ready. */
  private void prepareTogether(List<MaskDemand> masks) {
    try (Resources orders = new Resources()) {
      List<MaskOrder> pending = new ArrayList<>();
      List<EncryptedBlock> blocks = new ArrayList<>();
      for (MaskDemand mask : masks) {
        EncryptedBlock block = EncryptedBlock.allocate(MaskOrder.BLOCK_BYTES);
        blocks.add(block);
        ModuleClient client = mask.layer().client();
        pending.add(
            orders.add(client.orderMask(mask.slots(), nextBlock.getAndIncrement(), block.bytes())));
      }
      String modules =
          masks.stream().map(mask -> mask.layer().name()).distinct().collect(joining(", "));
      int cores = threads.coresEach(masks.size());
      PreparedMask[] made = new PreparedMask[masks.size()];
      try {
        evaluate(
            "masks ahead, " + modules,
            masks.stream().map(MaskDemand::layer).toList(),
            blocks,
            (index, result) ->
                made[index] = prepare(masks.get(index).layer(), pending.get(index), result, cores));
      } catch (Throwable error) {
        Stream.of(made).filter(Objects::nonNull).forEach(PreparedMask::close);
        throw error;
      }
      // In the order in which they were asked for, whichever came back first.
      for (int index = 0; index < made.length; index++) {
        masks.get(index).layer().preparedMasks().add(made[index]);
      }
    }
  }

  private PreparedMask prepare(
      RemoteLayer layer, MaskOrder order, EncryptedBlock result, int cores) {
    try (result;
        var unused = measurements.time(Step.DECRYPT)) {
      return order.prepare(result.bytes(), cores);
    } catch (InvalidInputException error) {
      throw new InvalidInputException(
          "module " + layer.name() + ": its mask cannot be prepared: " + error.getMessage(), error);
    }
  }

  /** Takes the result of the block with an index, and closes it. */
  @FunctionalInterface
  private interface ResultTaker {
    void take(int index, EncryptedBlock result);
  }

  /**
   * Evaluates blocks in one Spark job and closes them; client threads take results as they come.
   *
   * @param layers of the blocks
   */
  private void evaluate(
      String modules, List<RemoteLayer> layers, List<EncryptedBlock> blocks, ResultTaker taker) {
    progress.blocksSent(modules, blocks.size());
    blocks.forEach(block -> measurements.bytesUp.add(block.length()));
    EvaluateBlocks work = new EvaluateBlocks(only(layers, circuits), only(layers, keys));
    EvaluationRdd evaluation = new EvaluationRdd(spark.sc(), blocks, work);
    Results results = new Results(blocks.size(), taker);
    // Masks are prepared on the caller's thread, whose description stays.
    String description = spark.getLocalProperty("spark.job.description");
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
              evaluation,
              new SingleBlock(),
              results,
              ClassTag$.MODULE$.apply(EncryptedBlock.class));
    } catch (Exception error) {
      results.abandon();
      throw explain(error);
    } finally {
      blocks.forEach(EncryptedBlock::close);
      spark.setJobDescription(description);
      spark.sc().removeJobTag(jobTag);
    }
    measurements.addNanos(Step.EVALUATE, System.nanoTime() - start);
    results.await();
  }

  /** Those of some calls, by the circuit's digest: a job carries no more than it needs. */
  private static <T> Map<String, T> only(List<RemoteLayer> layers, Map<String, T> all) {
    Map<String, T> needed = new HashMap<>(all);
    needed.keySet().retainAll(layers.stream().map(layer -> layer.spec().circuitDigest()).toList());
    return needed;
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
    RemoteLayer layer = rows.layer();
    ModuleClient client = layer.client();
    try (var unused = measurements.time(Step.ENCRYPT)) {
      EncryptedBlock block = EncryptedBlock.allocate(client.blockBytes(scales.length));
      InputRows inputs = rows.inputs();
      Optional<PreparedMasks.Slots> slots =
          layer.isMostlyMask(scales.length)
              ? layer.preparedMasks().encrypt(inputs, scales, number, block.bytes())
              : Optional.empty();
      if (slots.isPresent()) {
        measurements.preparedRows.add(scales.length);
      } else {
        client.encrypt(inputs, scales, number, cores, block.bytes());
      }
      return new SentBlock(rows, number, scales, block, slots);
    } catch (InvalidInputException error) {
      throw rows.explain(error);
    }
  }

  private void decrypt(SentBlock sent, EncryptedBlock result, int cores) {
    RemoteLayer layer = sent.rows().layer();
    measurements.valuesDown.add((long) sent.scales().length * layer.spec().dOut());
    try (result;
        var unused = measurements.time(Step.DECRYPT)) {
      OutputRows outputs = sent.rows().outputs();
      if (sent.slots().isPresent()) {
        sent.slots().get().decrypt(result.bytes(), sent.number(), sent.scales(), outputs);
      } else {
        layer.decrypt(result.bytes(), sent.number(), sent.scales(), cores, outputs);
      }
    } catch (InvalidInputException error) {
      throw new InvalidInputException(
          "module " + layer.name() + ": the result cannot be used: " + error.getMessage(), error);
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
    releasePrepared();
    // A context that was stopped has no broadcasts left.
    if (spark.sc().isStopped()) {
      return;
    }
    // Spark waits for the removal of none on a thread that is interrupted.
    boolean isInterrupted = Thread.interrupted();
    try (sentKeys;
        Resources broadcasts = new Resources()) {
      // Blocking: a session that is stopped right after would log the removal's failure.
      circuits.values().forEach(circuit -> broadcasts.add(() -> circuit.destroy(true)));
    } finally {
      circuits.clear();
      if (isInterrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** What tasks made ready in this JVM, as under a local master; executors release it when idle. */
  private void releasePrepared() {
    CircuitRegistry registry = CircuitRegistry.shared();
    circuits.keySet().forEach(circuit -> registry.releaseUnused(CircuitDigest.parse(circuit)));
    keys.values().forEach(key -> registry.releaseUnused(CircuitDigest.parse(key.digest())));
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

  /**
   * Hands results on as tasks end. Spark calls it on its scheduler's thread, so client threads do
   * the work.
   */
  private final class Results extends AbstractFunction2<Object, EncryptedBlock, BoxedUnit> {
    private final int blocks;
    private final ResultTaker taker;
    private final List<Future<?>> futures = new ArrayList<>();
    private final HashSet<Integer> seen = new HashSet<>();

    Results(int blocks, ResultTaker taker) {
      this.blocks = blocks;
      this.taker = taker;
    }

    @Override
    public synchronized BoxedUnit apply(Object partition, EncryptedBlock result) {
      int index = (Integer) partition;
      // Once a partition, whatever is retried or speculated; a second time would only cost.
      if (seen.add(index)) {
        measurements.bytesDown.add(result.length());
        futures.add(
            threads.submit(
                () -> {
                  taker.take(index, result);
                  progress.blockDone();
                  return null;
                }));
      } else {
        result.close();
      }
      return BoxedUnit.UNIT;
    }

    synchronized void await() {
      ClientThreads.awaitAll(futures);
      if (futures.size() != blocks) {
        throw new IllegalStateException(futures.size() + " of " + blocks + " blocks came back");
      }
    }

    /** Waits for what has begun, whatever becomes of it: it reads keys and tensors. */
    synchronized void abandon() {
      try {
        ClientThreads.awaitAll(futures);
      } catch (RuntimeException error) {
        // The failure of the job is what counts.
        LOG.debug("a result of an abandoned job could not be used", error);
      }
    }
  }
}
