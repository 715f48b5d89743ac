package org.fhespark.nativelib;

import org.fhespark.InvalidInputException;

/**
 * Parameters of a packed (common-mask) GLWE circuit.
 *
 * <p>Mask and body entries travel with limbs of their own: an error of a mask entry meets the
 * secret and grows with its weight, one of a body entry does not.
 *
 * @param glweDimension k, the number of mask polynomials
 * @param polynomialSize N, the number of records one body carries; a power of two, at least 64
 * @param limbs bytes of a mask entry; the ciphertext modulus is q = 2^(8·limbs)
 * @param bodyLimbs bytes kept of a body's entry on the way up, from the top; the client rounds
 * @param outputLimbs bytes kept of a mask entry of the result, from the top; the server rounds
 * @param outputBodyLimbs bytes kept of a body's entry of the result, from the top; the server
 *     rounds
 * @param messageBits p; an accumulator m in [-2^(p-1), 2^(p-1)) is encoded as m·q/2^p
 * @param bodies K, the number of bodies (and secret keys) that share a mask; a block holds at most
 *     K·N records
 * @param summands M; so many results may be added before they are decrypted, 1 for none
 * @param flooding b; results are re-randomised under the client's public key, and noise of
 *     TUniform(-2^b, 2^b) is added to their bodies, in units of 1/q; 0 for neither
 */
public record PackedParameters(
    int glweDimension,
    int polynomialSize,
    int limbs,
    int bodyLimbs,
    int outputLimbs,
    int outputBodyLimbs,
    int messageBits,
    int bodies,
    int summands,
    int flooding) {
  /** The most results that a sum can hold. */
  public static final int MOST_SUMMANDS = 1 << 20;

  public PackedParameters {
    check(glweDimension >= 1 && glweDimension <= 64, "glweDimension", glweDimension);
    check(
        polynomialSize >= 64 && polynomialSize <= 2048 && Integer.bitCount(polynomialSize) == 1,
        "polynomialSize",
        polynomialSize);
    check(limbs >= 3 && limbs <= 7, "limbs", limbs);
    check(outputLimbs >= 1 && outputLimbs <= limbs, "outputLimbs", outputLimbs);
    check(bodyLimbs >= 2 && bodyLimbs <= limbs, "bodyLimbs", bodyLimbs);
    check(
        outputBodyLimbs >= 1 && outputBodyLimbs <= Math.min(bodyLimbs, outputLimbs),
        "outputBodyLimbs",
        outputBodyLimbs);
    check(messageBits >= 2 && messageBits <= 8 * outputBodyLimbs, "messageBits", messageBits);
    check(bodies >= 1 && bodies <= 256, "bodies", bodies);
    check(summands >= 1 && summands <= MOST_SUMMANDS, "summands", summands);
    check(
        flooding >= 0 && (flooding == 0 || flooding <= mostFlooding(limbs, messageBits, summands)),
        "flooding",
        flooding);
  }

  /**
   * The most b there can be, less than 1 if there is no room: the flooding of all summands together
   * then reaches half of the way from a message to the middle between two.
   */
  public static int mostFlooding(int limbs, int messageBits, int summands) {
    return 8 * limbs - messageBits - 2 - ceilLog2(summands);
  }

  /**
   * Bits that a result tells its holder beside its flooding, if results are re-randomised: about p
   * + 1, and log2 of the summands, for a single one has less flooding than a sum.
   */
  public int toldBits() {
    return messageBits + 1 + ceilLog2(summands);
  }

  private static int ceilLog2(int value) {
    return Integer.SIZE - Integer.numberOfLeadingZeros(value - 1);
  }

  /** Parameters of a circuit whose results are not re-randomised. */
  public PackedParameters(
      int glweDimension,
      int polynomialSize,
      int limbs,
      int bodyLimbs,
      int outputLimbs,
      int outputBodyLimbs,
      int messageBits,
      int bodies,
      int summands) {
    this(
        glweDimension,
        polynomialSize,
        limbs,
        bodyLimbs,
        outputLimbs,
        outputBodyLimbs,
        messageBits,
        bodies,
        summands,
        0);
  }

  /** Parameters of a circuit whose results are neither added nor re-randomised. */
  public PackedParameters(
      int glweDimension,
      int polynomialSize,
      int limbs,
      int bodyLimbs,
      int outputLimbs,
      int outputBodyLimbs,
      int messageBits,
      int bodies) {
    this(
        glweDimension,
        polynomialSize,
        limbs,
        bodyLimbs,
        outputLimbs,
        outputBodyLimbs,
        messageBits,
        bodies,
        1);
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

  /** Whether results are re-randomised, so that their masks say nothing of the weights. */
  public boolean protectsWeights() {
    return flooding > 0;
  }

  /** The same with another p, flooded as much as before in relation to it. */
  public PackedParameters withMessageBits(int bits) {
    int flooded = flooding == 0 ? 0 : flooding + messageBits - bits;
    check((flooding == 0) == (flooded == 0), "messageBits", bits);
    return new PackedParameters(
        glweDimension,
        polynomialSize,
        limbs,
        bodyLimbs,
        outputLimbs,
        outputBodyLimbs,
        bits,
        bodies,
        summands,
        flooded);
  }

  /** The same for sums of so many results. */
  public PackedParameters withSummands(int results) {
    return new PackedParameters(
        glweDimension,
        polynomialSize,
        limbs,
        bodyLimbs,
        outputLimbs,
        outputBodyLimbs,
        messageBits,
        bodies,
        results,
        flooding);
  }

  /** How many fields there are for native methods. */
  static final int FIELDS = 10;

  static PackedParameters of(int[] fields) {
    return new PackedParameters(
        fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6], fields[7],
        fields[8], fields[9]);
  }

  /** As the native methods take them. */
  int[] fields() {
    return new int[] {
      glweDimension,
      polynomialSize,
      limbs,
      bodyLimbs,
      outputLimbs,
      outputBodyLimbs,
      messageBits,
      bodies,
      summands,
      flooding
    };
  }

  /** The secret keys this circuit is encrypted under. */
  public SecretKeyShape secretKeyShape() {
    return new SecretKeyShape(glweDimension, polynomialSize, limbs, bodies);
  }
}
