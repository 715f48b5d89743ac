package org.fhespark.compiler.parameters;

import org.fhespark.nativelib.NoiseModel;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.WeightNorms;

/**
 * How surely the accumulators of a circuit decrypt right.
 *
 * @param log2PerValue log2 of a bound on the probability that one accumulator is wrong
 * @param marginBits log2 of how much larger the noise could be before that probability reached what
 *     was asked for: log2(t / (c·σ)), where t = 2^-(p+1) is half the distance between messages, σ
 *     the standard deviation of the output and c·σ the deviation that 2·exp(-c²/2) = p_error allows
 */
public record FailureProbability(double log2PerValue, double marginBits) {

  /** Of a circuit with given weights. */
  public static FailureProbability of(
      PackedParameters parameters, WeightNorms norms, double log2PError) {
    double deviation =
        NoiseModel.outputStandardDeviation(
            parameters.lweDimension(),
            parameters.limbs(),
            parameters.outputLimbs(),
            columnNorm(norms));
    double halfDistance = Math.pow(2, -(parameters.messageBits() + 1));
    double allowed = deviations(log2PError) * deviation;
    return new FailureProbability(
        NoiseModel.log2FailureProbability(deviation, parameters.messageBits()),
        Math.log(halfDistance / allowed) / Math.log(2));
  }

  /**
   * max over outputs of ‖W_j‖₂; 1 for weights that are all zero, whose results are without noise.
   */
  static double columnNorm(WeightNorms norms) {
    return Math.max(1, Math.sqrt(norms.maxL2Squared()));
  }

  /** c with 2·exp(-c²/2) = 2^log2Probability. */
  private static double deviations(double log2Probability) {
    return Math.sqrt(2 * Math.log(2) * (1 - log2Probability));
  }
}
