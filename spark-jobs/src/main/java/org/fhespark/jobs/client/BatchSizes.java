package org.fhespark.jobs.client;

import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.IntSupplier;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.onnx.TensorSpec;

/**
 * How many units, records or tokens, travel together: as many as fill a block of every call, fewer
 * where tensors are large. How large they are a model does not say; the first waves, small ones,
 * tell.
 */
final class BatchSizes {
  /** The largest tensor of a batch is held to about this size. */
  private static final long BATCH_TENSOR_BYTES = 24L << 20;

  /** The largest tensors, one a batch, of a wave are held to about this size together. */
  private static final long WAVE_TENSOR_BYTES = 112L << 20;

  /** Units of a batch until a wave has told how large tensors are. */
  private static final int PROBE = 64;

  /** The same of tokens: a wave of few costs nearly as much as one of many, for its masks. */
  private static final int TOKEN_PROBE = 1024;

  private static final int UNBOUNDED = 4096;

  private final List<RemoteLayer> layers;
  private final IntSupplier taskSlots;
  private final boolean isKnown;
  private final int probe;

  /** Rows of the largest leveled block: one costs as much with a few rows as with all. */
  private final int leveledBlock;

  /** Batches of a wave until one has told how large tensors are, if not one for each slot. */
  private final long probeBatches;

  /** Largest bytes of a tensor that a unit was seen to make. */
  private final AtomicLong tensorBytes;

  /**
   * @param inputs the model's inputs
   * @param tokenBytes largest bytes of a tensor that a token made in runs before, 0 at first: of
   *     tokens, one table tells about another
   * @param taskSlots tasks that run at a time now; executors come and go
   */
  BatchSizes(
      List<RemoteLayer> layers,
      List<TensorSpec> inputs,
      AtomicLong tokenBytes,
      IntSupplier taskSlots) {
    this.layers = layers;
    this.taskSlots = taskSlots;
    // Of vectors, a call makes a row each.
    this.isKnown =
        inputs.stream().allMatch(input -> input.shape().size() <= 1 && !isOpen(input))
            && layers.stream().allMatch(layer -> layer.spec().unfolding() == null);
    // Such layers make a row of each token.
    boolean isOfTokens =
        !layers.isEmpty() && layers.stream().allMatch(layer -> layer.spec().skipsPadding());
    this.tensorBytes = isOfTokens ? tokenBytes : new AtomicLong();
    long largestRow = layers.stream().mapToLong(BatchSizes::rowBytes).max().orElse(1);
    // A fourth, for there may be tensors that no remote layer reads or writes.
    long fitting = Math.max(PROBE, BATCH_TENSOR_BYTES / 4 / largestRow);
    this.probe = isOfTokens ? (int) Math.min(TOKEN_PROBE, fitting) : PROBE;
    this.leveledBlock =
        layers.stream()
            .filter(layer -> layer.spec().isLeveled())
            .mapToInt(layer -> layer.cipher().blockRows())
            .max()
            .orElse(0);
    this.probeBatches = Math.min(leveledBlock, WAVE_TENSOR_BYTES / 4 / largestRow) / probe;
  }

  /** Bytes of the largest row that a layer reads or writes. */
  static long rowBytes(RemoteLayer layer) {
    int outputs = layer.spec().outputs().stream().mapToInt(CallOutput::columns).max().orElse(1);
    return (long) Float.BYTES * Math.max(layer.spec().dIn(), outputs);
  }

  private static boolean isOpen(TensorSpec input) {
    return input.elementsPerRecord() < 0;
  }

  /** Learns from a batch that has been through the model. */
  void observe(Batch batch) {
    tensorBytes.accumulateAndGet(batch.largestTensorBytes() / batch.units() + 1, Math::max);
  }

  /**
   * Most tokens of a wave, at least 1: of calls that make a row a token, whole blocks if memory
   * allows, for what is left over would pay for a mask of its own.
   */
  long waveTokens() {
    long most = (long) batchUnits() * waveBatches();
    long largestBlock =
        layers.stream().mapToInt(layer -> layer.cipher().blockRows()).max().orElse(UNBOUNDED);
    return most <= largestBlock ? most : most / largestBlock * largestBlock;
  }

  private int blockRows() {
    return layers.stream().mapToInt(layer -> layer.cipher().blockRows()).min().orElse(UNBOUNDED);
  }

  /** Most units of a batch, at least 1. */
  int batchUnits() {
    int rows = blockRows();
    if (isKnown) {
      return rows;
    }
    long bytes = tensorBytes.get();
    long fitting = bytes == 0 ? probe : Math.max(1, BATCH_TENSOR_BYTES / bytes);
    return (int) Math.min(rows, fitting);
  }

  /** Most batches of {@link #batchUnits} of a wave, at least 1. */
  int waveBatches() {
    int slots = taskSlots.getAsInt();
    long units = batchUnits();
    if (isKnown) {
      long batches = Math.max(slots, RowBlock.ceilDiv(leveledBlock, (int) units));
      while (batches > 1 && !fitsJob(batches * units)) {
        batches--;
      }
      return (int) batches;
    }
    if (tensorBytes.get() == 0) {
      return (int) Math.max(slots, probeBatches);
    }
    long fitting = WAVE_TENSOR_BYTES / (units * tensorBytes.get());
    // A block for every slot needs no more than this, even if a unit makes but one row.
    long filling = (long) slots * (Math.max(blockRows(), leveledBlock) / units + 1);
    return (int) Math.max(1, Math.min(fitting, filling));
  }

  /** Whether the blocks and results of so many rows are few enough for a job, in every stage. */
  private boolean fitsJob(long rows) {
    return layers.stream()
        .mapToInt(layer -> layer.spec().stage())
        .distinct()
        .allMatch(
            stage ->
                layers.stream()
                        .filter(layer -> layer.spec().stage() == stage)
                        .mapToLong(layer -> bytes(layer.cipher(), rows))
                        .sum()
                    <= ExecutorBlockEvaluator.JOB_BYTES);
  }

  /** Bytes of the blocks and results of so many rows. */
  private static long bytes(LayerCipher cipher, long rows) {
    int block = cipher.blockRows();
    long whole = rows / block;
    int rest = (int) (rows % block);
    long bytes = whole * (cipher.bytesUp(block) + cipher.bytesDown(block));
    return rest == 0 ? bytes : bytes + cipher.bytesUp(rest) + cipher.bytesDown(rest);
  }
}
