package org.fhespark.nativelib;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.function.LongConsumer;

/**
 * A client's evaluation key, expanded for look-ups in native memory, some times its file's size;
 * safe to share between threads. It holds no secret, but stands for one client.
 */
public final class EvaluationKey implements AutoCloseable {
  private static final int KEY_ID_BYTES = 16;

  private final NativeHandle handle;
  private final CircuitDigest digest;
  private final String keyId;
  private final BootstrapParameters parameters;
  private final long memoryBytes;

  private EvaluationKey(long handle, CircuitDigest digest) {
    this.handle =
        NativeHandle.releasedWhenLost("evaluation key", handle, FheNative::closeEvaluationKey);
    this.digest = digest;
    this.keyId = HexFormat.of().formatHex(FheNative.evaluationKeyId(handle));
    this.parameters = BootstrapParameters.of(FheNative.evaluationKeyParameters(handle));
    this.memoryBytes = FheNative.evaluationKeyMemory(handle);
  }

  /**
   * Expands the bytes of an evaluation key's file.
   *
   * @param threads threads to use at most
   * @throws org.fhespark.InvalidInputException if the file is truncated, altered or of another
   *     version
   */
  public static EvaluationKey expand(byte[] file, int threads) {
    NativeLibrary.load();
    return new EvaluationKey(FheNative.expandEvaluationKey(file, threads), CircuitDigest.of(file));
  }

  /**
   * The same of a direct buffer, such as a mapped file, all of it to its capacity.
   *
   * @throws org.fhespark.InvalidInputException as the other
   */
  public static EvaluationKey expand(ByteBuffer file, int threads) {
    NativeLibrary.load();
    return new EvaluationKey(
        FheNative.expandMappedEvaluationKey(file, threads),
        CircuitDigest.of(file.duplicate().clear()));
  }

  /**
   * What an evaluation key's file says of itself.
   *
   * @param keyId id of the client key it belongs to, in hexadecimal
   * @param digest SHA-256 of the file
   */
  public record Description(String keyId, BootstrapParameters parameters, CircuitDigest digest) {}

  /**
   * Checks the whole of a file without expanding it.
   *
   * @param file a direct buffer, such as a mapped file, all of it to its capacity
   * @throws org.fhespark.InvalidInputException if it is truncated, altered, of another version or
   *     no evaluation key
   */
  public static Description describe(ByteBuffer file) {
    NativeLibrary.load();
    ByteBuffer fields =
        ByteBuffer.wrap(FheNative.checkEvaluationKey(file)).order(ByteOrder.LITTLE_ENDIAN);
    byte[] keyId = new byte[KEY_ID_BYTES];
    fields.get(keyId);
    int[] parameters = new int[fields.remaining() / Integer.BYTES];
    fields.asIntBuffer().get(parameters);
    return new Description(
        HexFormat.of().formatHex(keyId),
        BootstrapParameters.of(parameters),
        CircuitDigest.of(file.duplicate().clear()));
  }

  /** Id of the client key it belongs to, in hexadecimal. */
  public String keyId() {
    return keyId;
  }

  public BootstrapParameters parameters() {
    return parameters;
  }

  /** SHA-256 of its file. */
  public CircuitDigest digest() {
    return digest;
  }

  /** Bytes of native memory it holds until it is closed. */
  public long memoryBytes() {
    return memoryBytes;
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
