package org.fhespark.compiler.parameters;

import org.fhespark.nativelib.NoiseModel;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.WeightNorms;

/**
 * How surely the accumulators of a circuit decrypt right.
 *
 * @param log2PerValue log2 of a bound on the probability that one accumulator is wrong
 * @param marginBits log2 of how much larger the standard deviation of the noise could be before
 *     that probability reached what was asked for: log2(c / c'), where 2·exp(-c²/2) is the
 *     probability there is and 2·exp(-c'²/2) the one asked for; 0 if they are equal. (Where the
 *     bound counts the rounding of a result's body by its largest value, of the other noise.)
 */
public record FailureProbability(double log2PerValue, double marginBits) {

  /** Of a circuit with given weights. */
  public static FailureProbability of(
      PackedParameters parameters, WeightNorms norms, double log2PError) {
    double log2PerValue = NoiseModel.log2FailureProbability(parameters, norms);
    double margin = Math.log(deviations(log2PerValue) / deviations(log2PError)) / Math.log(2);
    return new FailureProbability(log2PerValue, margin);
  }

  /** That normal noise goes beyond so many of its standard deviations. */
  public static FailureProbability beyond(double deviations, double log2PError) {
    double log2PerValue = Math.min(0, 1 - deviations * deviations / 2 / Math.log(2));
    double margin = Math.log(deviations / deviations(log2PError)) / Math.log(2);
    return new FailureProbability(log2PerValue, margin);
  }

  /** c with 2·exp(-c²/2) = 2^log2Probability. */
  public static double deviations(double log2Probability) {
    return Math.sqrt(2 * Math.log(2) * (1 - log2Probability));
  }
}
