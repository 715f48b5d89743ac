package org.fhespark.nativelib;

import java.nio.ByteBuffer;

/**
 * A mask that was drawn ahead of its records, waiting for the server's results; see {@link
 * PreparedMask}. It holds the seed of secret noise: every serialiser is refused.
 */
public final class MaskOrder extends ClientSecret {
  private static final long serialVersionUID = 1L;

  /** Bytes of its block: a header alone. */
  public static final int BLOCK_BYTES = 128;

  private final transient ModuleClient client;
  private final transient NativeHandle handle;

  MaskOrder(ModuleClient client, long handle) {
    this.client = client;
    this.handle = NativeHandle.releasedWhenLost("mask order", handle, FheNative::closeMaskOrder);
  }

  /**
   * Makes the mask ready for records. The order is used up, whatever comes of it: a mask is
   * prepared once.
   *
   * @param results the server's answer, all of the buffer
   * @param threads threads to use at most, the calling one among them
   * @throws org.fhespark.InvalidInputException if the block is damaged or does not answer this
   *     order, or there is no memory for the mask
   * @throws IllegalStateException if the order is used up or closed
   */
  public PreparedMask prepare(ByteBuffer results, int threads) {
    long module = client.nativeHandle();
    return new PreparedMask(client, FheNative.prepareMask(module, handle.take(), results, threads));
  }

  @Override
  String refusal() {
    return PreparedMask.REFUSAL;
  }

  @Override
  public void close() {
    handle.close();
  }
}
