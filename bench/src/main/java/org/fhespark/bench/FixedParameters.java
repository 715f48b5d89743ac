package org.fhespark.bench;

import java.util.Arrays;
import org.fhespark.nativelib.NoiseModel;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.WeightNorms;

/** Parameters given by hand, but for p and K, which follow from weights and batch. */
public record FixedParameters(
    int glweDimension,
    int polynomialSize,
    int limbs,
    int bodyLimbs,
    int outputLimbs,
    int outputBodyLimbs) {

  /** Parses {@code 3:512:5:5:4:4}: k, N and the limbs of mask and bodies, up and down. */
  static FixedParameters parse(String text) {
    int[] f = Arrays.stream(text.split(":")).mapToInt(Integer::parseInt).toArray();
    if (f.length != 6) {
      throw new IllegalArgumentException(
          "'" + text + "' has not six fields: write it as 3:512:5:5:4:4");
    }
    return new FixedParameters(f[0], f[1], f[2], f[3], f[4], f[5]);
  }

  /** With the largest p that the probability of a wrong accumulator allows. */
  PackedParameters of(WeightNorms norms, int records, double log2PError) {
    int messageBits = 8 * outputBodyLimbs;
    PackedParameters parameters = of(messageBits, records);
    while (NoiseModel.log2FailureProbability(parameters, norms) > log2PError) {
      parameters = parameters.withMessageBits(--messageBits);
    }
    return parameters;
  }

  /** With a given p. */
  PackedParameters of(int messageBits, int records) {
    return new PackedParameters(
        glweDimension,
        polynomialSize,
        limbs,
        bodyLimbs,
        outputLimbs,
        outputBodyLimbs,
        messageBits,
        (records + polynomialSize - 1) / polynomialSize);
  }

  @Override
  public String toString() {
    return "%d:%d:%d:%d:%d:%d"
        .formatted(glweDimension, polynomialSize, limbs, bodyLimbs, outputLimbs, outputBodyLimbs);
  }
}
