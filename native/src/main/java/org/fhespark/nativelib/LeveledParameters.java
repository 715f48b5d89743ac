package org.fhespark.nativelib;

import org.fhespark.InvalidInputException;

/**
 * Parameters of a leveled circuit: RNS-CKKS in the conjugate-invariant ring, records in slots.
 *
 * <p>Security is that of ring-LWE with a uniform ternary secret of dimension n and a modulus of
 * {@code levels + 1} primes of 30 bits; native code refuses what is below 128 bits in the tables of
 * "Security Guidelines for Implementing Homomorphic Encryption" (ePrint 2024/463).
 *
 * @param polynomialSize n, coefficients of a polynomial, slots of a ciphertext, and so the most
 *     records of a block
 * @param levels primes of a fresh ciphertext's modulus
 */
public record LeveledParameters(int polynomialSize, int levels) implements EvaluationParameters {
  /** Bits of a prime, and of a packed coefficient. */
  public static final int PRIME_BITS = 30;

  /** How many fields there are for native methods. */
  static final int FIELDS = 2;

  private static final int HEADER_BYTES = 48;
  private static final int CHECKSUM_BYTES = 4;

  public LeveledParameters {
    check(
        polynomialSize >= 1024 && polynomialSize <= 32768 && Integer.bitCount(polynomialSize) == 1,
        "polynomialSize",
        polynomialSize);
    check(levels >= 2 && levels <= 64, "levels", levels);
  }

  private static void check(boolean holds, String name, int value) {
    if (!holds) {
      throw new InvalidInputException("leveled parameters: " + name + " cannot be " + value);
    }
  }

  static LeveledParameters of(int[] fields) {
    return new LeveledParameters(fields[0], fields[1]);
  }

  /** The ring is the same, and the key has the primes that the circuit needs. */
  @Override
  public boolean serves(EvaluationParameters circuit) {
    return circuit instanceof LeveledParameters other
        && polynomialSize == other.polynomialSize
        && levels >= other.levels;
  }

  /** Bytes of a polynomial modulo one prime, packed. */
  public long polynomialBytes() {
    return (long) polynomialSize * PRIME_BITS / Byte.SIZE;
  }

  /** Bytes of an encrypted feature on the way up: a body; the mask is a seed. */
  public long bytesUp() {
    return levels * polynomialBytes();
  }

  /** Bytes of an encrypted output on the way down, modulo the last prime. */
  public long bytesDown() {
    return 2 * polynomialBytes();
  }

  @Override
  public long evaluationKeyBytes() {
    return HEADER_BYTES + (long) levels * (levels + 1) * polynomialBytes() + CHECKSUM_BYTES;
  }

  @Override
  public int[] fields() {
    return new int[] {polynomialSize, levels};
  }
}
