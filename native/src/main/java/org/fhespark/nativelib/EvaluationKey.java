package org.fhespark.nativelib;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.function.LongConsumer;
import org.fhespark.InvalidInputException;

/**
 * A client's evaluation key, expanded in native memory: for look-ups, where it takes some times its
 * file's size, or for leveled circuits. Safe to share between threads. It holds no secret, but
 * stands for one client.
 */
public final class EvaluationKey implements AutoCloseable {
  private static final int KEY_ID_BYTES = 16;

  private final NativeHandle handle;
  private final CircuitDigest digest;
  private final String keyId;
  private final EvaluationParameters parameters;
  private final long memoryBytes;

  private EvaluationKey(long handle, CircuitDigest digest) {
    this.handle =
        NativeHandle.releasedWhenLost("evaluation key", handle, FheNative::closeEvaluationKey);
    this.digest = digest;
    this.keyId = HexFormat.of().formatHex(FheNative.evaluationKeyId(handle));
    this.parameters = EvaluationParameters.of(FheNative.evaluationKeyParameters(handle));
    this.memoryBytes = FheNative.evaluationKeyMemory(handle);
  }

  /**
   * Expands the bytes of an evaluation key's file.
   *
   * @param expected what it has to be, compared before it is expanded: the file, its client key,
   *     and the parameters of the circuits that it is to serve
   * @param threads threads to use at most
   * @throws org.fhespark.InvalidInputException if the file is another, truncated, altered, of
   *     another version, client key or parameters, or there is no memory for it
   */
  public static EvaluationKey expand(byte[] file, Description expected, int threads) {
    CircuitDigest digest = expected.requireDigest(CircuitDigest.of(file));
    NativeLibrary.load();
    return new EvaluationKey(
        FheNative.expandEvaluationKey(
            file, expected.keyIdBytes(), expected.parameters().fields(), threads),
        digest);
  }

  /**
   * The same of a direct buffer, such as a mapped file, all of it to its capacity.
   *
   * @throws org.fhespark.InvalidInputException as the other
   */
  public static EvaluationKey expand(ByteBuffer file, Description expected, int threads) {
    CircuitDigest digest = expected.requireDigest(CircuitDigest.of(file.duplicate().clear()));
    NativeLibrary.load();
    return new EvaluationKey(
        FheNative.expandMappedEvaluationKey(
            file, expected.keyIdBytes(), expected.parameters().fields(), threads),
        digest);
  }

  /**
   * What an evaluation key's file says of itself.
   *
   * @param keyId id of the client key it belongs to, in hexadecimal
   * @param parameters of the circuits that it is for
   * @param digest SHA-256 of the file
   */
  public record Description(String keyId, EvaluationParameters parameters, CircuitDigest digest) {
    private byte[] keyIdBytes() {
      return HexFormat.of().parseHex(keyId);
    }

    private CircuitDigest requireDigest(CircuitDigest found) {
      if (!found.equals(digest)) {
        throw new InvalidInputException(
            "evaluation key: another than was sent: SHA-256 " + found + ", expected " + digest);
      }
      return found;
    }
  }

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
        EvaluationParameters.of(parameters),
        CircuitDigest.of(file.duplicate().clear()));
  }

  /** Id of the client key it belongs to, in hexadecimal. */
  public String keyId() {
    return keyId;
  }

  /** Those of the circuits that it is for. */
  public EvaluationParameters parameters() {
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
