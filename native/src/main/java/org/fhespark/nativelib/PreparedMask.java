package org.fhespark.nativelib;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.OptionalInt;

/**
 * A mask whose part of encryption, evaluation and decryption is done, with slots for records: a few
 * records then cost the server a few rows. Safe to share between threads.
 *
 * <p>Each slot encrypts one record, once: the native side hands slots out in order and never again,
 * also when something fails later. It lives in native memory, as secret as the key, and is wiped
 * when it is closed or lost. It is never stored, and every serialiser is refused. Do not use it in
 * a process that was copied since, such as one of a machine that was restored from a snapshot: both
 * copies would use the same slots, which gives the difference of their records away.
 *
 * <p>Buffers are those of {@link ModuleClient}.
 */
public final class PreparedMask extends ClientSecret {
  private static final long serialVersionUID = 1L;

  /** Why no serialiser gets this class. */
  public static final String REFUSAL =
      "a prepared mask, or the order of one, must not leave the client's process: a closure,"
          + " broadcast or row captured it; send the blocks that it encrypts";

  private final transient ModuleClient client;
  private final transient NativeHandle handle;

  PreparedMask(ModuleClient client, long handle) {
    this.client = client;
    this.handle =
        NativeHandle.releasedWhenLost("prepared mask", handle, FheNative::closePreparedMask);
  }

  /** Records it can still take. */
  public int slotsLeft() {
    try {
      return FheNative.slotsLeft(handle.get());
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  /** Bytes of native memory it holds until it is closed, those of used slots too. */
  public long memoryBytes() {
    try {
      return FheNative.preparedMaskBytes(handle.get());
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  /**
   * Quantises and encrypts 1 to K·N records in the next slots, on this thread.
   *
   * @param scales written, {@code [T]}; decryption needs them
   * @param blockNumber comes back on the block of results
   * @param block written; its capacity must be {@link ModuleClient#blockBytes}
   * @return the first slot, which decryption needs; empty if fewer than T are left, and then none
   *     are used, and what is in {@code scales} and {@code block} means nothing
   * @throws org.fhespark.InvalidInputException naming record and feature of a NaN or infinity; no
   *     slots are used then
   */
  public OptionalInt encrypt(
      InputRows records, float[] scales, long blockNumber, ByteBuffer block) {
    try {
      int firstSlot =
          FheNative.encryptAhead(
              client.nativeHandle(),
              handle.get(),
              records.buffers(),
              records.runs(),
              records.unfolding(),
              scales,
              blockNumber,
              block);
      return firstSlot < 0 ? OptionalInt.empty() : OptionalInt.of(firstSlot);
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  /** The same of a table. */
  public OptionalInt encrypt(
      ByteBuffer records, float[] scales, long blockNumber, ByteBuffer block) {
    return encrypt(InputRows.ofTable(records, scales.length), scales, blockNumber, block);
  }

  /**
   * Decrypts and dequantises a block of results, on this thread.
   *
   * @param block all of it, to its capacity
   * @param blockNumber the number the block must carry
   * @param firstSlot what encryption gave
   * @param scales the scales that encryption gave, {@code [T]}
   * @param outputs where the floats of {@code T} rows go
   * @throws org.fhespark.InvalidInputException if the block is damaged, or not the result of these
   *     records
   */
  public void decrypt(
      ByteBuffer block, long blockNumber, int firstSlot, float[] scales, OutputRows outputs) {
    try {
      FheNative.decryptAhead(
          client.nativeHandle(),
          handle.get(),
          firstSlot,
          block,
          blockNumber,
          scales,
          outputs.columns(),
          outputs.buffers(),
          outputs.runs());
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  /** The same to a table. */
  public void decrypt(
      ByteBuffer block, long blockNumber, int firstSlot, float[] scales, ByteBuffer outputs) {
    int columns = client.spec().outputs();
    decrypt(
        block, blockNumber, firstSlot, scales, OutputRows.ofTable(outputs, scales.length, columns));
  }

  @Override
  String refusal() {
    return REFUSAL;
  }

  @Override
  public void close() {
    handle.close();
  }
}
