package org.fhespark.nativelib;

import org.fhespark.InvalidInputException;

/**
 * Parameters of look-ups by programmable bootstrapping; the torus is 2^64.
 *
 * <p>Values are LWE ciphertexts under the flattened GLWE key of the packed layer, of dimension k·N;
 * before a look-up they are switched to dimension n.
 *
 * @param lweDimension n
 * @param glweDimension k, of the bootstrap key and of the packed layer
 * @param polynomialSize N of both: a table has N entries, for half the torus
 * @param bootstrap decomposition of the bootstrap key
 * @param keyswitch decomposition of the key that switches from k·N to n
 * @param outputBytes bytes kept of an entry of the results, from the top
 */
public record BootstrapParameters(
    int lweDimension,
    int glweDimension,
    int polynomialSize,
    Decomposition bootstrap,
    Decomposition keyswitch,
    int outputBytes)
    implements EvaluationParameters {

  public BootstrapParameters {
    check(lweDimension >= 1 && lweDimension <= 4096, "lweDimension", lweDimension);
    check(glweDimension >= 1 && glweDimension <= 16, "glweDimension", glweDimension);
    check(
        polynomialSize >= 256 && polynomialSize <= 2048 && Integer.bitCount(polynomialSize) == 1,
        "polynomialSize",
        polynomialSize);
    check("bootstrap", bootstrap);
    check("keyswitch", keyswitch);
    check(outputBytes >= 1 && outputBytes <= 4, "outputBytes", outputBytes);
  }

  private static void check(String name, Decomposition decomposition) {
    int base = decomposition.baseLog();
    int levels = decomposition.levels();
    check(base >= 1 && base <= 32, name + " baseLog", base);
    check(levels >= 1 && levels <= 32 && base * levels <= 63, name + " levels", levels);
  }

  private static void check(boolean holds, String name, int value) {
    if (!holds) {
      throw new InvalidInputException("bootstrap parameters: " + name + " cannot be " + value);
    }
  }

  /** How many fields there are for native methods. */
  static final int FIELDS = 8;

  static BootstrapParameters of(int[] fields) {
    return new BootstrapParameters(
        fields[0],
        fields[1],
        fields[2],
        new Decomposition(fields[3], fields[4]),
        new Decomposition(fields[5], fields[6]),
        fields[7]);
  }

  /** k·N, the LWE dimension of values. */
  public int valueDimension() {
    return glweDimension * polynomialSize;
  }

  /** All but what is kept of results is the same. */
  @Override
  public boolean serves(EvaluationParameters circuit) {
    return circuit instanceof BootstrapParameters other
        && lweDimension == other.lweDimension
        && glweDimension == other.glweDimension
        && polynomialSize == other.polynomialSize
        && bootstrap.equals(other.bootstrap)
        && keyswitch.equals(other.keyswitch);
  }

  @Override
  public long evaluationKeyBytes() {
    long bootstrapWords =
        (long) lweDimension * bootstrap.levels() * (glweDimension + 1) * polynomialSize;
    long keyswitchWords = (long) valueDimension() * keyswitch.levels();
    return HEADER_BYTES + 8 * (bootstrapWords + keyswitchWords) + CHECKSUM_BYTES;
  }

  private static final int HEADER_BYTES = 88;
  private static final int CHECKSUM_BYTES = 4;

  @Override
  public int[] fields() {
    return new int[] {
      lweDimension,
      glweDimension,
      polynomialSize,
      bootstrap.baseLog(),
      bootstrap.levels(),
      keyswitch.baseLog(),
      keyswitch.levels(),
      outputBytes
    };
  }
}
