package org.fhespark.nativelib;

import org.fhespark.InvalidInputException;

/**
 * Parameters of a packed (common-mask) GLWE circuit.
 *
 * @param glweDimension k, the number of mask polynomials
 * @param polynomialSize N, the number of records one body carries; a power of two, at least 64
 * @param limbs bytes of a ciphertext entry; the ciphertext modulus is q = 2^(8·limbs)
 * @param outputLimbs bytes kept of an entry of the result, from the top; at most {@code limbs}
 * @param messageBits p; an accumulator m in [-2^(p-1), 2^(p-1)) is encoded as m·q/2^p
 * @param bodies K, the number of bodies (and secret keys) that share a mask; a block holds at most
 *     K·N records
 */
public record PackedParameters(
    int glweDimension,
    int polynomialSize,
    int limbs,
    int outputLimbs,
    int messageBits,
    int bodies) {

  public PackedParameters {
    check(glweDimension >= 1 && glweDimension <= 64, "glweDimension", glweDimension);
    check(
        polynomialSize >= 64 && polynomialSize <= 2048 && Integer.bitCount(polynomialSize) == 1,
        "polynomialSize",
        polynomialSize);
    check(limbs >= 3 && limbs <= 7, "limbs", limbs);
    check(outputLimbs >= 1 && outputLimbs <= limbs, "outputLimbs", outputLimbs);
    check(messageBits >= 2 && messageBits <= 8 * outputLimbs, "messageBits", messageBits);
    check(bodies >= 1 && bodies <= 256, "bodies", bodies);
  }

  private static void check(boolean holds, String name, int value) {
    if (!holds) {
      throw new InvalidInputException("packed parameters: " + name + " cannot be " + value);
    }
  }

  /** n = k·N, the dimension that the security estimate is about. */
  public int lweDimension() {
    return glweDimension * polynomialSize;
  }

  /** log2 of the ciphertext modulus q. */
  public int log2Modulus() {
    return 8 * limbs;
  }

  /** The most records one block can hold, K·N. */
  public int maxRecords() {
    return bodies * polynomialSize;
  }

  /** The secret keys this circuit is encrypted under. */
  public SecretKeyShape secretKeyShape() {
    return new SecretKeyShape(glweDimension, polynomialSize, limbs, bodies);
  }
}
