package org.fhespark.nativelib;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * The data owner's side of one remote module: quantise, encrypt, decrypt, dequantise. Safe to share
 * between threads.
 *
 * <p>Buffers are direct and in native byte order, row-major: tables of records are floats {@code
 * [T][d_in]}, of outputs floats {@code [T][d_out]}.
 */
public final class ModuleClient implements AutoCloseable {
  private final NativeHandle handle;
  private final ModuleSpec spec;

  private ModuleClient(ModuleSpec spec, long key) {
    this.spec = spec;
    WeightNorms norms = spec.norms();
    NativeLibrary.load();
    long opened =
        FheNative.openModule(
            key,
            spec.circuit().bytes(),
            spec.parameters().fields(),
            spec.inputs(),
            spec.outputs(),
            new long[] {norms.maxL1(), norms.maxL2Squared(), norms.maxAbs()},
            spec.quantization().activationBits(),
            spec.quantization().staticScale(),
            spec.weightScales(),
            spec.bias());
    this.handle = new NativeHandle("module", opened, FheNative::closeModule);
  }

  /** A module that can do everything. */
  public static ModuleClient withKey(ModuleSpec spec, ClientKey key) {
    return new ModuleClient(spec, key.nativeHandle());
  }

  /** A module that can quantise and dequantise only. */
  public static ModuleClient withoutKey(ModuleSpec spec) {
    return new ModuleClient(spec, 0);
  }

  /** What it encrypts and decrypts by. */
  public ModuleSpec spec() {
    return spec;
  }

  /**
   * Integer activations {@code [T][d_in]} of float records; writes their scales.
   *
   * @param scales written, {@code [T]}
   * @throws org.fhespark.InvalidInputException naming record and feature of a NaN or infinity
   */
  public int[] quantize(InputRows records, float[] scales) {
    return FheNative.quantize(
        handle.get(), records.buffers(), records.runs(), records.unfolding(), scales);
  }

  /** The same of a table. */
  public int[] quantize(ByteBuffer records, float[] scales) {
    return quantize(InputRows.ofTable(records, scales.length), scales);
  }

  /** Bytes of a block of so many records. */
  public int blockBytes(int records) {
    return FheNative.blockBytes(handle.get(), records);
  }

  /**
   * Quantises and encrypts 1 to K·N records under a fresh mask.
   *
   * @param scales written, {@code [T]}; decryption needs them
   * @param blockNumber comes back on the block of results
   * @param threads threads to use at most, the calling one among them
   * @param block written; its capacity must be {@link #blockBytes}
   * @throws org.fhespark.InvalidInputException naming record and feature of a NaN or infinity
   */
  public void encrypt(
      InputRows records, float[] scales, long blockNumber, int threads, ByteBuffer block) {
    FheNative.encrypt(
        handle.get(),
        records.buffers(),
        records.runs(),
        records.unfolding(),
        scales,
        blockNumber,
        threads,
        block);
  }

  /** The same of a table. */
  public void encrypt(
      ByteBuffer records, float[] scales, long blockNumber, int threads, ByteBuffer block) {
    encrypt(InputRows.ofTable(records, scales.length), scales, blockNumber, threads, block);
  }

  /** The same on one thread, to an array. */
  public byte[] encrypt(ByteBuffer records, float[] scales, long blockNumber) {
    ByteBuffer block = ByteBuffer.allocateDirect(blockBytes(scales.length));
    encrypt(records, scales, blockNumber, 1, block);
    byte[] bytes = new byte[block.capacity()];
    block.get(bytes);
    return bytes;
  }

  /**
   * Decrypts and dequantises a block of results.
   *
   * @param block all of it, to its capacity
   * @param blockNumber the number the block must carry
   * @param scales the scales that encryption gave, {@code [T]}
   * @param threads threads to use at most, the calling one among them
   * @param outputs where the floats of {@code T} rows go
   * @throws org.fhespark.InvalidInputException if the block is damaged, made by another circuit,
   *     under another key, or another block's result
   */
  public void decrypt(
      ByteBuffer block, long blockNumber, float[] scales, int threads, OutputRows outputs) {
    FheNative.decrypt(
        handle.get(),
        block,
        blockNumber,
        scales,
        threads,
        outputs.columns(),
        outputs.buffers(),
        outputs.runs());
  }

  /** The same to a table. */
  public void decrypt(
      ByteBuffer block, long blockNumber, float[] scales, int threads, ByteBuffer outputs) {
    decrypt(block, blockNumber, scales, threads, table(outputs, scales.length));
  }

  private OutputRows table(ByteBuffer outputs, int rows) {
    return OutputRows.ofTable(outputs, rows, spec.outputs());
  }

  /** The same on one thread, from an array. */
  public void decrypt(byte[] block, long blockNumber, float[] scales, ByteBuffer outputs) {
    ByteBuffer copy = ByteBuffer.allocateDirect(block.length);
    copy.put(block);
    decrypt(copy, blockNumber, scales, 1, outputs);
  }

  /**
   * Writes the order of a block's mask, for one task to evaluate while others evaluate records of
   * the block ({@link #cutRecords}); no task then evaluates the block itself.
   *
   * @param block of {@link #encrypt}
   * @param part written; its capacity must be {@link MaskOrder#BLOCK_BYTES}
   * @throws org.fhespark.InvalidInputException if it is no block of this module, or its results are
   *     re-randomised
   */
  public void cutMask(ByteBuffer block, ByteBuffer part) {
    FheNative.cutMask(handle.get(), block, part);
  }

  /**
   * Writes a run of a block's records as a block of their own.
   *
   * @param first a multiple of 64
   * @param count a multiple of 64, but for the block's last records
   * @param part written; its capacity must be {@link #blockBytes} of {@code count}
   * @throws org.fhespark.InvalidInputException as {@link #cutMask}, and if the run is no such
   */
  public void cutRecords(ByteBuffer block, int first, int count, ByteBuffer part) {
    FheNative.cutRecords(handle.get(), block, first, count, part);
  }

  /**
   * As {@link #decrypt}, of the results of a block's parts.
   *
   * @param parts those of {@link #cutMask}, then those of {@link #cutRecords} in order
   * @throws org.fhespark.InvalidInputException if one is damaged or of another block, or they are
   *     not all of the block
   */
  public void decryptParts(
      List<ByteBuffer> parts, long blockNumber, float[] scales, int threads, OutputRows outputs) {
    FheNative.decryptParts(
        handle.get(),
        parts.toArray(ByteBuffer[]::new),
        blockNumber,
        scales,
        threads,
        outputs.columns(),
        outputs.buffers(),
        outputs.runs());
  }

  /**
   * Draws a mask for up to {@code slots} records that do not exist yet, so that the server can do
   * its part of their evaluation ahead.
   *
   * @param slots 1 to K·N
   * @param blockNumber comes back on the results
   * @param block written, the order for the server; its capacity must be {@link
   *     MaskOrder#BLOCK_BYTES}
   */
  public MaskOrder orderMask(int slots, long blockNumber, ByteBuffer block) {
    return new MaskOrder(this, FheNative.orderMask(handle.get(), slots, blockNumber, block));
  }

  long nativeHandle() {
    return handle.get();
  }

  /** Accumulators {@code [T][d_out]} of a block of results, before dequantisation. */
  public long[] decryptAccumulators(byte[] block) {
    return FheNative.decryptAccumulators(handle.get(), block);
  }

  /**
   * Sums of accumulators {@code [T][d_out]} of a sum of blocks of results ({@link BlockSum}).
   *
   * @throws org.fhespark.InvalidInputException if the sum is damaged, of another circuit or under
   *     another key
   */
  public long[] decryptSumAccumulators(byte[] sums) {
    return FheNative.decryptSumAccumulators(handle.get(), sums);
  }

  /**
   * Decrypts a sum of blocks of results ({@link BlockSum}) to sums of outputs.
   *
   * @param counts of how many records each slot holds the sum, {@code [T]}, records of zeros that
   *     only pad a block not among them: the bias is added so often. Zeros give sums without bias
   * @param threads threads to use at most, the calling one among them
   * @param outputs where the floats of {@code T} slots go
   * @throws org.fhespark.InvalidInputException if the sum is damaged, of another circuit, under
   *     another key, or of fewer results than a count says
   */
  public void decryptSums(byte[] sums, long[] counts, int threads, OutputRows outputs) {
    FheNative.decryptSums(
        handle.get(), sums, counts, threads, outputs.columns(), outputs.buffers(), outputs.runs());
  }

  /** The same to a table. */
  public void decryptSums(byte[] sums, long[] counts, int threads, ByteBuffer outputs) {
    decryptSums(sums, counts, threads, table(outputs, counts.length));
  }

  /** Outputs of accumulators {@code [T][d_out]}, as {@link #decrypt} computes them. */
  public void dequantize(long[] accumulators, float[] scales, OutputRows outputs) {
    FheNative.dequantize(
        handle.get(), accumulators, scales, outputs.columns(), outputs.buffers(), outputs.runs());
  }

  /** The same to a table. */
  public void dequantize(long[] accumulators, float[] scales, ByteBuffer outputs) {
    dequantize(accumulators, scales, table(outputs, scales.length));
  }

  /**
   * The accumulators that an encryption of activations would decrypt to, with noise drawn as the
   * circuit's parameters make it: wrong ones among them, as in reality. Needs no key.
   *
   * @param circuit the module's
   * @param activations integers {@code [T][d_in]}
   * @return accumulators {@code [T][d_out]}
   * @throws org.fhespark.InvalidInputException if the circuit is another's
   */
  public long[] simulate(PackedCircuit circuit, int[] activations) {
    return FheNative.simulate(handle.get(), circuit.nativeHandle(), activations);
  }

  @Override
  public void close() {
    handle.close();
  }
}
