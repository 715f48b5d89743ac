package org.fhespark.jobs.client;

import static java.util.stream.Collectors.joining;
import static java.util.stream.Collectors.toSet;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.ObjIntConsumer;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaSparkContext;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.MaskOrder;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PreparedMask;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.EncryptedBlock;
import org.fhespark.udf.PublicKeyBytes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The remote modules under FHE: encrypts the rows of a stage, has a server evaluate the blocks, and
 * decrypts results as they come.
 */
final class EncryptedEvaluator implements RemoteEvaluator {
  private static final Logger LOG = LoggerFactory.getLogger(EncryptedEvaluator.class);

  private final BlockEvaluator server;
  private final RowEncryption encryption;
  private final RowDecryption decryption;
  private final ClientThreads threads;
  private final Measurements measurements;
  private final ScoreProgress progress;

  /** Blocks, or parts of such, that the server has now. */
  private final AtomicInteger underWay = new AtomicInteger();

  /**
   * @param server closed with this
   */
  EncryptedEvaluator(
      BlockEvaluator server,
      RowEncryption encryption,
      ClientThreads threads,
      Measurements measurements,
      ScoreProgress progress) {
    this.server = server;
    this.encryption = encryption;
    this.decryption = new RowDecryption(measurements);
    this.threads = threads;
    this.measurements = measurements;
    this.progress = progress;
  }

  /**
   * Mode EXECUTE: the executors of a Spark session are the server.
   *
   * @param keys the evaluation keys of circuits with look-ups, by the circuit's digest
   * @param publicKeys by the id of the client key, for circuits that re-randomise results
   */
  static EncryptedEvaluator onExecutors(
      JavaSparkContext spark,
      List<Circuit> circuits,
      Map<String, EvaluationKeyFiles.Checked> keys,
      Map<String, PublicKeyBytes> publicKeys,
      ClientThreads threads,
      Measurements measurements,
      ScoreProgress progress) {
    return onServer(
        new ExecutorBlockEvaluator(spark, circuits, keys, publicKeys),
        threads,
        measurements,
        progress);
  }

  /** With blocks numbered from 0. */
  static EncryptedEvaluator onServer(
      BlockEvaluator server,
      ClientThreads threads,
      Measurements measurements,
      ScoreProgress progress) {
    return new EncryptedEvaluator(
        server,
        new RowEncryption(new AtomicLong()::getAndIncrement, threads, measurements),
        threads,
        measurements,
        progress);
  }

  @Override
  public void evaluate(List<RemoteLayer> layers, List<Batch> wave) {
    String modules = String.join(", ", layers.stream().map(RemoteLayer::name).toList());
    int wanted = WavePipeline.workersOfAWave(server.parallelism());
    RowBlock.inTurn(layers, wave, wanted, server.mostBytes(), rows -> evaluate(modules, rows));
  }

  /** Encrypts rows, has them evaluated together and decrypts the results. */
  private void evaluate(String modules, List<RowBlock> rows) {
    List<SentBlock> sent = encryption.encrypt(rows);
    int cores = threads.coresEach(sent.size());
    int tasks = (server.parallelism() - underWay.get()) / sent.size();
    List<Task> work = new ArrayList<>();
    try (Resources parted = new Resources()) {
      for (SentBlock one : sent) {
        List<Integer> runs =
            one.rows().slots().isPresent()
                ? List.of()
                : BlockCut.of(one.rows().rows().layer(), one.rows().scales().length, tasks);
        if (runs.isEmpty()) {
          work.add(new Task(one.block(), result -> decryption.decrypt(one.rows(), result, cores)));
        } else {
          List<PartedBlock.Part> parts = PartedBlock.cut(one, runs);
          parted.add(parts.get(0).whole());
          for (PartedBlock.Part part : parts) {
            work.add(new Task(part.block(), result -> decrypt(part, result, cores)));
          }
        }
      }
      evaluate(
          modules,
          rows.stream().map(RowBlock::layer).toList(),
          work.stream().map(Task::block).toList(),
          (result, index) -> work.get(index).taker().accept(result));
    }
  }

  /**
   * What one task evaluates.
   *
   * @param taker closes the result
   */
  private record Task(EncryptedBlock block, Consumer<EncryptedBlock> taker) {}

  /** Decrypts a block when the last of its parts is there. */
  private void decrypt(PartedBlock.Part part, EncryptedBlock result, int cores) {
    PartedBlock whole = part.whole();
    whole
        .take(part.index(), result)
        .ifPresent(results -> decryption.decryptParts(whole.rows(), results, cores));
  }

  /** As many masks a call as their results, which are large, may lie on the driver together. */
  @Override
  public void prepare(List<MaskDemand> masks) {
    List<MaskDemand> job = new ArrayList<>();
    long bytes = 0;
    for (MaskDemand mask : masks) {
      if (!job.isEmpty() && bytes + mask.resultBytes() > server.mostBytes()) {
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

  /** Has some masks evaluated together and makes them ready. */
  private void prepareTogether(List<MaskDemand> masks) {
    try (Resources orders = new Resources()) {
      List<MaskOrder> pending = new ArrayList<>();
      List<EncryptedBlock> blocks = new ArrayList<>();
      for (MaskDemand mask : masks) {
        EncryptedBlock block = EncryptedBlock.allocate(MaskOrder.BLOCK_BYTES);
        blocks.add(block);
        ModuleClient client = mask.layer().client();
        pending.add(
            orders.add(client.orderMask(mask.slots(), encryption.nextNumber(), block.bytes())));
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
            (result, index) ->
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

  /**
   * Has blocks evaluated and closes them; client threads take results as they come.
   *
   * @param layers of the blocks
   * @param taker closes the results
   */
  private void evaluate(
      String modules,
      List<RemoteLayer> layers,
      List<EncryptedBlock> blocks,
      ObjIntConsumer<EncryptedBlock> taker) {
    progress.blocksSent(modules, blocks.size());
    blocks.forEach(measurements::blockSent);
    Set<String> circuits =
        layers.stream().map(layer -> layer.spec().circuitDigest()).collect(toSet());
    Results results = new Results(blocks.size(), taker);
    long start = System.nanoTime();
    underWay.addAndGet(blocks.size());
    try {
      server.evaluate(modules, circuits, blocks, results);
    } catch (Throwable error) {
      results.abandon();
      throw error;
    } finally {
      underWay.addAndGet(-blocks.size());
      blocks.forEach(EncryptedBlock::close);
    }
    measurements.addNanos(Step.EVALUATE, System.nanoTime() - start);
    results.await();
  }

  @Override
  public void cancel() {
    server.cancel();
  }

  @Override
  public void close() {
    server.close();
  }

  /** Hands results on as they come, for client threads to do the work. */
  private final class Results implements ObjIntConsumer<EncryptedBlock> {
    private final int blocks;
    private final ObjIntConsumer<EncryptedBlock> taker;
    private final List<Future<?>> futures = new ArrayList<>();
    private final HashSet<Integer> seen = new HashSet<>();

    Results(int blocks, ObjIntConsumer<EncryptedBlock> taker) {
      this.blocks = blocks;
      this.taker = taker;
    }

    @Override
    public synchronized void accept(EncryptedBlock result, int index) {
      // Once a block, whatever is retried or speculated; a second time would only cost.
      if (seen.add(index)) {
        measurements.blockReceived(result);
        futures.add(
            threads.submit(
                () -> {
                  taker.accept(result, index);
                  progress.blockDone();
                  return null;
                }));
      } else {
        result.close();
      }
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
        // The failure of the evaluation is what counts.
        LOG.debug("a result of an abandoned evaluation could not be used", error);
      }
    }
  }
}
