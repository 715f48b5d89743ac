package org.fhespark.nativelib;

/**
 * Noise of packed circuits, from the security curve that tfhe-rs publishes ({@code
 * core_crypto::commons::noise_formulas::secure_noise}, 132-bit, binary secrets, TUniform noise).
 *
 * <p>Standard deviations are relative to the ciphertext modulus q.
 */
public final class NoiseModel {
  private NoiseModel() {}

  /**
   * Standard deviation of a fresh encryption.
   *
   * @param lweDimension n = k·N
   * @param limbs q = 2^(8·limbs)
   * @throws org.fhespark.InvalidInputException if no noise is secure for this n below q
   */
  public static double freshStandardDeviation(int lweDimension, int limbs) {
    NativeLibrary.load();
    return FheNative.freshStandardDeviation(lweDimension, limbs);
  }

  /**
   * The least b with which flooding hides the randomness that re-randomises results from who knows
   * the noise of the public key, as its maker does.
   *
   * @param lweDimension n = k·N
   * @param limbs q = 2^(8·limbs)
   * @param mostRecords K·N, those of a block
   * @throws org.fhespark.InvalidInputException if no noise is secure for this n below q
   */
  public static int leastFlooding(int lweDimension, int limbs, int mostRecords) {
    NativeLibrary.load();
    return FheNative.leastFlooding(lweDimension, limbs, mostRecords);
  }

  /**
   * Standard deviation of a decrypted accumulator before rounding: fresh noise and the rounding of
   * bodies through a column of weights, and what the rounding of the result adds.
   *
   * @param norms of the weights; those that are all zero count as one weight of 1
   */
  public static double outputStandardDeviation(PackedParameters parameters, WeightNorms norms) {
    NativeLibrary.load();
    return FheNative.outputStandardDeviation(parameters.fields(), l1(norms), l2(norms));
  }

  /**
   * log2 of a bound on the probability that one accumulator decrypts wrong: all noise terms are
   * uniform, hence sub-Gaussian, and 2·exp(-t²/2σ²) bounds their tail beyond t, the half distance
   * of messages less the bias of rounding. The rounding of a result's body counts as noise or by
   * its largest value, whichever bounds the probability better.
   *
   * @param norms of the weights; those that are all zero count as one weight of 1
   */
  public static double log2FailureProbability(PackedParameters parameters, WeightNorms norms) {
    NativeLibrary.load();
    return FheNative.log2FailureProbability(parameters.fields(), l1(norms), l2(norms));
  }

  private static double l1(WeightNorms norms) {
    return Math.max(1, norms.maxL1());
  }

  private static double l2(WeightNorms norms) {
    return Math.max(1, Math.sqrt(norms.maxL2Squared()));
  }
}
