package org.fhespark.nativelib;

import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.function.DoubleConsumer;
import java.util.stream.IntStream;

/**
 * The client's secret keys. They live in native memory, wiped on close, and in a file that only its
 * owner can read; Java never holds them. What was opened with a key, as a {@link LeveledClient},
 * has secrets made of it, which are wiped when that is closed. Every serialiser is refused.
 */
public final class ClientKey extends ClientSecret {
  private static final long serialVersionUID = 1L;

  /** Why no serialiser gets this class. */
  public static final String REFUSAL =
      "a ClientKey must not leave the client: a closure, broadcast or row captured it;"
          + " decrypt on the driver, after collecting the encrypted results";

  private final transient NativeHandle handle;

  private ClientKey(long handle) {
    this.handle = new NativeHandle("client key", handle, FheNative::closeKey);
  }

  /**
   * Draws new keys from the operating system's CSPRNG.
   *
   * @param clientId id of the client artefact they are for, 32 bytes
   * @param shapes the sets of secret keys its modules need
   * @throws org.fhespark.InvalidInputException if a shape is out of range or below 132-bit security
   */
  public static ClientKey generate(byte[] clientId, List<SecretKeyShape> shapes) {
    return generate(clientId, shapes, new int[0], new int[0]);
  }

  /**
   * The same, with what circuits with look-ups need besides.
   *
   * @param lweDimensions the LWE dimensions of their evaluation keys, each once
   */
  public static ClientKey generate(
      byte[] clientId, List<SecretKeyShape> shapes, int[] lweDimensions) {
    return generate(clientId, shapes, lweDimensions, new int[0]);
  }

  /**
   * The same, with what leveled circuits need besides.
   *
   * @param ringDegrees n of their parameters, each once
   */
  public static ClientKey generate(
      byte[] clientId, List<SecretKeyShape> shapes, int[] lweDimensions, int[] ringDegrees) {
    int[] fields = shapes.stream().flatMapToInt(shape -> IntStream.of(shape.fields())).toArray();
    NativeLibrary.load();
    return new ClientKey(FheNative.generateKey(clientId, fields, lweDimensions, ringDegrees));
  }

  /**
   * Reads a key file.
   *
   * @throws org.fhespark.InvalidInputException if it is missing, open to other users, truncated,
   *     altered or not a key, or protected by a passphrase
   */
  public static ClientKey load(Path file) {
    return load(file, null);
  }

  /**
   * Reads a key file that a passphrase protects, which takes about a second and 256 MiB.
   *
   * @param passphrase stays with the caller, who wipes it; null for none
   * @throws org.fhespark.InvalidInputException as the other, and if the passphrase is wrong, or the
   *     file has none
   */
  public static ClientKey load(Path file, char[] passphrase) {
    NativeLibrary.load();
    try (PassphraseText text = PassphraseText.of(passphrase)) {
      return new ClientKey(FheNative.loadKey(file.toString(), text.bytes()));
    }
  }

  /**
   * Writes a new key file with mode 0600, and the directories above it.
   *
   * @throws org.fhespark.InvalidInputException if the file exists (a key is never overwritten) or
   *     cannot be written
   */
  public void save(Path file) {
    save(file, null);
  }

  /**
   * The same, protected by a passphrase: an age file (<a href="https://age-encryption.org/v1">its
   * format</a>), which takes about a second and 256 MiB.
   *
   * @param passphrase stays with the caller, who wipes it; null for none
   * @throws org.fhespark.InvalidInputException as the other, and if the passphrase is empty
   */
  public void save(Path file, char[] passphrase) {
    try (PassphraseText text = PassphraseText.of(passphrase)) {
      FheNative.saveKey(handle.get(), file.toString(), text.bytes());
    }
  }

  /** The key's random name, in hexadecimal; every block carries it. */
  public String id() {
    return HexFormat.of().formatHex(FheNative.keyId(handle.get()));
  }

  /** Id of the client artefact the key was made for, 32 bytes. */
  public byte[] clientId() {
    return FheNative.keyClientId(handle.get());
  }

  /**
   * Makes the evaluation key of circuits with look-ups of these parameters, as {@link
   * EvaluationKey#expand} takes it. It holds no secret; made twice, the two differ, and both are
   * good.
   *
   * @param packed the secret keys of the circuit's packed layer
   * @param threads threads to use at most
   * @param progress is given the share that is done, up to 1, now and then, by the calling thread;
   *     what it throws ends the work and comes out of this method
   * @return the file's bytes
   * @throws org.fhespark.InvalidInputException if this key has no secrets of these parameters
   */
  public byte[] evaluationKey(
      BootstrapParameters parameters, SecretKeyShape packed, int threads, DoubleConsumer progress) {
    return FheNative.makeEvaluationKey(
        handle.get(), parameters.fields(), packed.fields(), threads, progress);
  }

  /**
   * The same of leveled circuits.
   *
   * @throws org.fhespark.InvalidInputException if this key has no secret of that ring, or the
   *     parameters are below 128-bit security
   */
  public byte[] evaluationKey(LeveledParameters parameters, int threads, DoubleConsumer progress) {
    return FheNative.makeRelinearizationKey(handle.get(), parameters.fields(), threads, progress);
  }

  /**
   * Makes a public key for circuits whose results are re-randomised, as {@link PublicKey#open}
   * takes it. It holds no secret; made twice, the two differ, and both are good.
   *
   * @param shapes the secret keys of those circuits
   * @return the file's bytes
   * @throws org.fhespark.InvalidInputException if this key has no secrets of a shape
   */
  public byte[] publicKey(List<SecretKeyShape> shapes) {
    int[] fields = shapes.stream().flatMapToInt(shape -> IntStream.of(shape.fields())).toArray();
    return FheNative.makePublicKey(handle.get(), fields);
  }

  @Override
  String refusal() {
    return REFUSAL;
  }

  long nativeHandle() {
    return handle.get();
  }

  @Override
  public void close() {
    handle.close();
  }
}
