package org.fhespark.nativelib;

import java.nio.ByteBuffer;
import java.util.OptionalInt;

/**
 * A mask whose part of encryption, evaluation and decryption is done, with slots for records: a few
 * records then cost the server a few rows. Safe to share between threads.
 *
 * <p>Each slot encrypts one record, once: the native side hands slots out in order and never again,
 * also when something fails later. It lives in native memory, as secret as the key and wiped on
 * close; it is never stored or serialised, and must not outlive a copy of its process (a restored
 * snapshot of a machine), which would use the same slots again.
 *
 * <p>Buffers are those of {@link ModuleClient}.
 */
public final class PreparedMask implements AutoCloseable {
  private final ModuleClient client;
  private final NativeHandle handle;

  PreparedMask(ModuleClient client, long handle) {
    this.client = client;
    this.handle = new NativeHandle("prepared mask", handle, FheNative::closePreparedMask);
  }

  /** Records it can still take. */
  public int slotsLeft() {
    return FheNative.slotsLeft(handle.get());
  }

  /** Bytes of native memory it holds. */
  public long memoryBytes() {
    return FheNative.preparedMaskBytes(handle.get());
  }

  /**
   * Quantises and encrypts records in the next slots, on this thread.
   *
   * @param records floats {@code [T][d_in]}
   * @param scales written, {@code [T]}; decryption needs them
   * @param blockNumber comes back on the block of results
   * @param block written; its capacity must be {@link ModuleClient#blockBytes}
   * @return the first slot, which decryption needs; empty if fewer than T are left, and then none
   *     are used
   * @throws org.fhespark.InvalidInputException naming record and feature of a NaN or infinity; no
   *     slots are used then
   */
  public OptionalInt encrypt(
      ByteBuffer records, float[] scales, long blockNumber, ByteBuffer block) {
    int firstSlot =
        FheNative.encryptAhead(
            client.nativeHandle(),
            handle.get(),
            records,
            scales.length,
            scales,
            blockNumber,
            block);
    return firstSlot < 0 ? OptionalInt.empty() : OptionalInt.of(firstSlot);
  }

  /**
   * Decrypts and dequantises a block of results, on this thread.
   *
   * @param block all of it, to its capacity
   * @param blockNumber the number the block must carry
   * @param firstSlot what encryption gave
   * @param scales the scales that encryption gave, {@code [T]}
   * @param outputs written, floats {@code [T][d_out]}
   * @throws org.fhespark.InvalidInputException if the block is damaged, or not the result of these
   *     records
   */
  public void decrypt(
      ByteBuffer block, long blockNumber, int firstSlot, float[] scales, ByteBuffer outputs) {
    FheNative.decryptAhead(
        client.nativeHandle(), handle.get(), firstSlot, block, blockNumber, scales, outputs);
  }

  @Override
  public void close() {
    handle.close();
  }
}
