package org.fhespark.nativelib;

import java.nio.ByteBuffer;

/**
 * The data owner's side of the results of a circuit with look-ups: decrypt, dequantise. Safe to
 * share between threads. Activations are encrypted by the {@link ModuleClient} of the packed layer.
 */
public final class LookupClient implements AutoCloseable {
  private final NativeHandle handle;
  private final LookupResultsSpec spec;

  private LookupClient(LookupResultsSpec spec, long key) {
    this.spec = spec;
    NativeLibrary.load();
    long opened =
        FheNative.openLookupClient(
            key,
            spec.circuit().bytes(),
            spec.parameters().fields(),
            spec.outputScales(),
            spec.bias());
    this.handle = new NativeHandle("look-up client", opened, FheNative::closeLookupClient);
  }

  /** A client that can do everything. */
  public static LookupClient withKey(LookupResultsSpec spec, ClientKey key) {
    return new LookupClient(spec, key.nativeHandle());
  }

  /** A client that can dequantise only. */
  public static LookupClient withoutKey(LookupResultsSpec spec) {
    return new LookupClient(spec, 0);
  }

  /** What it decrypts by. */
  public LookupResultsSpec spec() {
    return spec;
  }

  /**
   * Decrypts and dequantises a block of results.
   *
   * @param block direct, all of it, to its capacity
   * @param blockNumber the number the block must carry
   * @param threads threads to use at most, the calling one among them
   * @param outputs where the floats of {@code T} rows go
   * @return how many outputs lie beyond 1.5 times the range that calibration saw, near the ends of
   *     what they can be: they may have left it at the other end
   * @throws org.fhespark.InvalidInputException if the block is damaged, made by another circuit,
   *     under another key, or another block's result
   */
  public long decrypt(ByteBuffer block, long blockNumber, int threads, OutputRows outputs) {
    return FheNative.decryptLookups(
        handle.get(),
        block,
        blockNumber,
        threads,
        outputs.columns(),
        outputs.buffers(),
        outputs.runs());
  }

  /**
   * Phases {@code [T][outputs]} of a block of results, in units of 2^-64 of the torus, before
   * dequantisation.
   */
  public long[] decryptPhases(byte[] block, long blockNumber) {
    return FheNative.decryptPhases(handle.get(), block, blockNumber);
  }

  /** Outputs of phases {@code [T][outputs]}, as {@link #decrypt} computes and counts them. */
  public long dequantize(long[] phases, OutputRows outputs) {
    return FheNative.dequantizePhases(
        handle.get(), phases, outputs.columns(), outputs.buffers(), outputs.runs());
  }

  @Override
  public void close() {
    handle.close();
  }
}
