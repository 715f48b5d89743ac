package org.fhespark.nativelib;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.KryoSerializable;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import java.io.IOException;
import java.io.NotSerializableException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.IntStream;
import org.fhespark.InvalidInputException;

/**
 * The client's secret keys. They live in native memory, which is wiped on close, and in a file that
 * only its owner can read.
 *
 * <p>The class is {@link Serializable} only to say no: a closure that captures it fails on the
 * driver with a message that tells why, instead of a bare {@link NotSerializableException}. Kryo is
 * refused in the same way.
 */
public final class ClientKey implements AutoCloseable, Serializable, KryoSerializable {
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
   * @throws InvalidInputException if a shape is out of range or below 132-bit security
   */
  public static ClientKey generate(byte[] clientId, List<SecretKeyShape> shapes) {
    int[] fields =
        shapes.stream()
            .flatMapToInt(
                s -> IntStream.of(s.glweDimension(), s.polynomialSize(), s.limbs(), s.bodies()))
            .toArray();
    return new ClientKey(FheNative.generateKey(clientId, fields));
  }

  /**
   * Reads a key file.
   *
   * @throws InvalidInputException if it is missing, truncated, altered or not a key
   */
  public static ClientKey load(Path file) {
    byte[] bytes;
    try {
      bytes = Files.readAllBytes(file);
    } catch (NoSuchFileException error) {
      throw new InvalidInputException(
          "client key " + file + " does not exist: make one with keygen", error);
    } catch (IOException error) {
      throw new InvalidInputException("client key " + file + " cannot be read: " + error, error);
    }
    try {
      return new ClientKey(FheNative.openKey(bytes));
    } catch (InvalidInputException error) {
      throw new InvalidInputException(file + ": " + error.getMessage(), error);
    } finally {
      Arrays.fill(bytes, (byte) 0);
    }
  }

  /**
   * Writes the key file with mode 0600, under a temporary name first.
   *
   * @throws InvalidInputException if the file exists (a key is never overwritten) or cannot be
   *     written
   */
  public void save(Path file) {
    if (Files.exists(file)) {
      throw new InvalidInputException(
          "client key "
              + file
              + " exists and is not overwritten: give another directory or remove it");
    }
    Path temporary =
        file.resolveSibling(file.getFileName() + ".tmp-" + ProcessHandle.current().pid());
    byte[] bytes = FheNative.encodeKey(handle.get());
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
      try (SeekableByteChannel channel =
          Files.newByteChannel(
              temporary,
              EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
        ByteBuffer rest = ByteBuffer.wrap(bytes);
        while (rest.hasRemaining()) {
          channel.write(rest);
        }
      }
      Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException error) {
      try {
        Files.deleteIfExists(temporary);
      } catch (IOException suppressed) {
        error.addSuppressed(suppressed);
      }
      throw new InvalidInputException(
          "client key " + file + " cannot be written: " + error.getMessage(), error);
    } finally {
      Arrays.fill(bytes, (byte) 0);
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

  long nativeHandle() {
    return handle.get();
  }

  @Override
  public void close() {
    handle.close();
  }

  private void writeObject(ObjectOutputStream out) throws IOException {
    throw new NotSerializableException(REFUSAL);
  }

  private void readObject(ObjectInputStream in) throws IOException {
    throw new NotSerializableException(REFUSAL);
  }

  @Override
  public void write(Kryo kryo, Output output) {
    throw new KryoException(REFUSAL);
  }

  @Override
  public void read(Kryo kryo, Input input) {
    throw new KryoException(REFUSAL);
  }
}
