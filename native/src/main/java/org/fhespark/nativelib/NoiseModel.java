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
   * Standard deviation of a decrypted accumulator before rounding: fresh noise through a column of
   * weights, and what the truncation of the result to {@code outputLimbs} adds.
   *
   * @param maxColumnNorm max over outputs j of ‖W_j‖₂
   */
  public static double outputStandardDeviation(
      int lweDimension, int limbs, int outputLimbs, double maxColumnNorm) {
    NativeLibrary.load();
    return FheNative.outputStandardDeviation(lweDimension, limbs, outputLimbs, maxColumnNorm);
  }

  /**
   * log2 of a bound on the probability that one accumulator of {@code messageBits} decrypts wrong:
   * all noise terms are uniform, hence sub-Gaussian, and 2·exp(-t²/2σ²) bounds their tail beyond t,
   * the half distance of messages less the bias of rounding.
   *
   * @param maxColumnNorm max over outputs j of ‖W_j‖₂
   */
  public static double log2FailureProbability(
      int lweDimension, int limbs, int outputLimbs, double maxColumnNorm, int messageBits) {
    NativeLibrary.load();
    return FheNative.log2FailureProbability(
        lweDimension, limbs, outputLimbs, maxColumnNorm, messageBits);
  }
}
