package org.fhespark.nativelib;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.fhespark.InvalidInputException;

/** SHA-256 of a circuit file: the name of a circuit on every block and in every registry. */
public final class CircuitDigest {
  private static final int BYTES = 32;

  private final byte[] bytes;

  private CircuitDigest(byte[] bytes) {
    this.bytes = bytes;
  }

  /** The digest of a circuit file's bytes. */
  public static CircuitDigest of(byte[] circuitFile) {
    return of(ByteBuffer.wrap(circuitFile));
  }

  /** The digest of what remains of a buffer, which is read. */
  static CircuitDigest of(ByteBuffer file) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(file);
      return new CircuitDigest(digest.digest());
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException("every Java platform has SHA-256", error);
    }
  }

  /**
   * Reads 64 hexadecimal digits.
   *
   * @throws InvalidInputException if they are not
   */
  public static CircuitDigest parse(String hex) {
    try {
      byte[] bytes = HexFormat.of().parseHex(hex);
      if (bytes.length == BYTES) {
        return new CircuitDigest(bytes);
      }
    } catch (IllegalArgumentException error) {
      // Reported below, like a wrong length.
    }
    throw new InvalidInputException(
        "\"" + hex + "\" is not a circuit digest (64 hexadecimal digits)");
  }

  /** Its 32 bytes, a copy. */
  public byte[] bytes() {
    return bytes.clone();
  }

  /** In 64 hexadecimal digits, lower case. */
  public String hex() {
    return HexFormat.of().formatHex(bytes);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof CircuitDigest digest && Arrays.equals(bytes, digest.bytes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bytes);
  }

  @Override
  public String toString() {
    return hex();
  }
}
