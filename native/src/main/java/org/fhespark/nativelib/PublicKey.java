package org.fhespark.nativelib;

import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.function.LongConsumer;

/**
 * A client's public key, with which results are re-randomised so that their masks say nothing of
 * the weights; safe to share between threads. It holds no secret, but stands for one client key.
 *
 * <p>It protects against clients that learn what they can from results. Whoever makes the key by
 * other means than {@link ClientKey#publicKey} can make one that tells its maker what randomness
 * was used: take it from clients that run this software.
 */
public final class PublicKey implements AutoCloseable {
  private static final byte[] MAGIC = "FHEP".getBytes(StandardCharsets.US_ASCII);

  private final NativeHandle handle;
  private final CircuitDigest digest;
  private final String keyId;

  private PublicKey(long handle, CircuitDigest digest) {
    this.handle = NativeHandle.releasedWhenLost("public key", handle, FheNative::closePublicKey);
    this.digest = digest;
    this.keyId = HexFormat.of().formatHex(FheNative.publicKeyId(handle));
  }

  /** Whether a file says that it is a public key; whether it is whole, {@link #open} tells. */
  public static boolean isOne(byte[] file) {
    return file.length >= MAGIC.length
        && Arrays.equals(file, 0, MAGIC.length, MAGIC, 0, MAGIC.length);
  }

  /**
   * Prepares the bytes of a public key's file.
   *
   * @throws org.fhespark.InvalidInputException if it is truncated, altered, of another version, no
   *     public key or below 132-bit security
   */
  public static PublicKey open(byte[] file) {
    NativeLibrary.load();
    return new PublicKey(FheNative.openPublicKey(file), CircuitDigest.of(file));
  }

  /** Id of the client key it belongs to, in hexadecimal. */
  public String keyId() {
    return keyId;
  }

  /** SHA-256 of its file. */
  public CircuitDigest digest() {
    return digest;
  }

  void use(LongConsumer work) {
    try {
      work.accept(handle.get());
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  @Override
  public void close() {
    handle.close();
  }
}
