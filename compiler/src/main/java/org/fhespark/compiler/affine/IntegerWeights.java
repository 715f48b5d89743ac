package org.fhespark.compiler.affine;

import java.util.Arrays;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Weights that a model trained with quantisation holds as integers: W = scale_j · w_j. Computed
 * whenever they are asked for, as those of {@link AffineMap} are.
 *
 * @param dIn inputs
 * @param values integers {@code [dOut][dIn]}, row-major
 * @param scales {@code [dOut]}, all positive
 * @param bits of the integers, as the model's own clipping says
 */
public record IntegerWeights(
    int dIn, Supplier<byte[]> values, Supplier<double[]> scales, int bits) {

  private static final int BITS_OF_MINUS_128 = 8;

  /**
   * Each output multiplied by a number; the integers stay but for their signs. Empty if -128 might
   * have to become 128.
   */
  Optional<IntegerWeights> scaled(ChannelVector factor) {
    boolean flips = Arrays.stream(factor.values()).anyMatch(value -> value < 0);
    if (flips && bits >= BITS_OF_MINUS_128) {
      return Optional.empty();
    }
    return Optional.of(
        new IntegerWeights(
            dIn,
            () -> {
              byte[] integers = values.get();
              for (int at = 0; at < integers.length; at++) {
                integers[at] = (byte) (integers[at] * Math.signum(factor.at(at / dIn)));
              }
              return integers;
            },
            () -> {
              double[] scaled = scales.get();
              for (int j = 0; j < scaled.length; j++) {
                double magnitude = Math.abs(factor.at(j));
                scaled[j] = magnitude == 0 ? 1 : scaled[j] * magnitude;
              }
              return scaled;
            },
            bits));
  }
}
