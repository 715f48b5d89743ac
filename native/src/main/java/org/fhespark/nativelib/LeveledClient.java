package org.fhespark.nativelib;

import java.nio.ByteBuffer;

/**
 * The data owner's side of a leveled circuit: normalise, encrypt, decrypt. Safe to share between
 * threads.
 */
public final class LeveledClient implements AutoCloseable {
  private final NativeHandle handle;
  private final LeveledClientSpec spec;

  private LeveledClient(LeveledClientSpec spec, long key) {
    this.spec = spec;
    NativeLibrary.load();
    long opened =
        FheNative.openLeveledClient(
            key,
            spec.circuit().bytes(),
            spec.parameters().fields(),
            new double[] {spec.inputScale(), spec.outputScale(), spec.radius()},
            spec.center(),
            spec.spread(),
            spec.outputRanges());
    this.handle = new NativeHandle("leveled client", opened, FheNative::closeLeveledClient);
  }

  /** A client that can do everything. */
  public static LeveledClient withKey(LeveledClientSpec spec, ClientKey key) {
    return new LeveledClient(spec, key.nativeHandle());
  }

  /** A client that can normalise records and write outputs only. */
  public static LeveledClient withoutKey(LeveledClientSpec spec) {
    return new LeveledClient(spec, 0);
  }

  /** What it encrypts and decrypts by. */
  public LeveledClientSpec spec() {
    return spec;
  }

  /** Bytes of a block, however many records it holds. */
  public int blockBytes() {
    return FheNative.leveledBlockBytes(handle.get());
  }

  /**
   * Records as the circuit takes them.
   *
   * @param factors written, {@code [T]}: 1, or for a record beyond the ball what it was multiplied
   *     by to get to its surface
   * @return {@code [T][d_in]}
   * @throws org.fhespark.InvalidInputException naming record and feature of a NaN or infinity
   */
  public double[] normalize(InputRows records, float[] factors) {
    return FheNative.normalizeLeveled(
        handle.get(), records.buffers(), records.runs(), records.unfolding(), factors);
  }

  /**
   * Normalises and encrypts 1 to n records under a fresh mask.
   *
   * @param factors written, as of {@link #normalize}
   * @param blockNumber comes back on the block of results
   * @param block written; its capacity must be {@link #blockBytes}
   * @throws org.fhespark.InvalidInputException naming record and feature of a NaN or infinity
   */
  public void encrypt(InputRows records, float[] factors, long blockNumber, ByteBuffer block) {
    FheNative.encryptLeveled(
        handle.get(),
        records.buffers(),
        records.runs(),
        records.unfolding(),
        factors,
        blockNumber,
        block);
  }

  /**
   * Decrypts a block of results.
   *
   * @param block direct, all of it, to its capacity
   * @param blockNumber the number the block must carry
   * @param outputs where the floats of {@code T} rows go
   * @throws org.fhespark.InvalidInputException if the block is damaged, made by another circuit,
   *     under another key, another block's result, or holds values that the circuit cannot have
   *     made of records within the ball
   */
  public void decrypt(ByteBuffer block, long blockNumber, OutputRows outputs) {
    FheNative.decryptLeveled(
        handle.get(), block, blockNumber, outputs.columns(), outputs.buffers(), outputs.runs());
  }

  /** Writes outputs in units of their ranges {@code [T][d_out]} as {@link #decrypt} does. */
  public void write(double[] results, OutputRows outputs) {
    FheNative.writeLeveled(
        handle.get(), results, outputs.columns(), outputs.buffers(), outputs.runs());
  }

  @Override
  public void close() {
    handle.close();
  }
}
