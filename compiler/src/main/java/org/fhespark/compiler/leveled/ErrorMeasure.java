package org.fhespark.compiler.leveled;

/**
 * Root mean square errors of outputs, relative to the root mean square of their differences from
 * their means.
 */
final class ErrorMeasure {
  private final float[][] exact;
  private final double spread;

  /**
   * Against these outputs.
   *
   * @param exact {@code [output][row]}
   */
  ErrorMeasure(float[][] exact) {
    this.exact = exact;
    double square = 0;
    for (float[] output : exact) {
      double mean = 0;
      for (float value : output) {
        mean += value / (double) output.length;
      }
      for (float value : output) {
        square += Math.pow(value - mean, 2);
      }
    }
    this.spread = Math.sqrt(square);
  }

  /**
   * The error of others; 0 if they are the same.
   *
   * @param found {@code [row][output]}
   */
  double of(double[][] found) {
    double square = 0;
    for (int t = 0; t < found.length; t++) {
      for (int i = 0; i < exact.length; i++) {
        square += Math.pow(found[t][i] - exact[i][t], 2);
      }
    }
    return square == 0 ? 0 : Math.sqrt(square) / spread;
  }
}
