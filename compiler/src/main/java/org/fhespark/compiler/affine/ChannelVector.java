package org.fhespark.compiler.affine;

import java.util.Arrays;

/**
 * A number for each channel.
 *
 * @param values one a channel, or a single one for all
 */
record ChannelVector(double[] values) {
  static final ChannelVector ONE = of(1);
  static final ChannelVector ZERO = of(0);

  static ChannelVector of(double value) {
    return new ChannelVector(new double[] {value});
  }

  static ChannelVector of(float[] values) {
    double[] exact = new double[values.length];
    Arrays.setAll(exact, i -> values[i]);
    return new ChannelVector(exact);
  }

  double at(int channel) {
    return values[values.length == 1 ? 0 : channel];
  }

  /** One value for all channels. */
  boolean isUniform() {
    return values.length == 1;
  }

  boolean isOne() {
    return isUniform() && values[0] == 1;
  }

  boolean isZero() {
    return Arrays.stream(values).allMatch(value -> value == 0);
  }

  /** Whether it can be applied to so many channels. */
  boolean fits(int channels) {
    return isUniform() || values.length == channels;
  }

  /** A copy for so many channels. */
  double[] expanded(int channels) {
    double[] copy = new double[channels];
    Arrays.setAll(copy, this::at);
    return copy;
  }

  ChannelVector times(ChannelVector other) {
    return combined(other, (a, b) -> a * b);
  }

  ChannelVector plus(ChannelVector other) {
    return combined(other, Double::sum);
  }

  ChannelVector inverse() {
    return new ChannelVector(Arrays.stream(values).map(value -> 1 / value).toArray());
  }

  private ChannelVector combined(
      ChannelVector other, java.util.function.DoubleBinaryOperator operator) {
    double[] combined = new double[Math.max(values.length, other.values.length)];
    Arrays.setAll(combined, i -> operator.applyAsDouble(at(i), other.at(i)));
    return new ChannelVector(combined);
  }
}
