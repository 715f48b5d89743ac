package org.fhespark.compiler.leveled;

import java.util.Arrays;

/**
 * The one multiplier M of a first layer, whose weights are integers times M times the row's unit. A
 * row with a weight beyond 127 such steps gets a larger unit, which costs its polynomial precision;
 * a large M costs all rows precision of their weights.
 */
final class FirstMultiplier {
  /**
   * What a polynomial is taken to err, of a unit, at the most: a larger unit takes all that
   * polynomials of higher degree gain, which cost more than bits of weights.
   */
  private static final double POLYNOMIAL_ERROR = 5e-3;

  private FirstMultiplier() {}

  /**
   * The multiplier of the least expected error.
   *
   * @param weights {@code [rows][inputs]}
   * @param units least units of the rows
   * @param radius of normalised inputs
   */
  static double of(double[][] weights, double[] units, double radius) {
    double[] least = new double[units.length];
    for (int i = 0; i < units.length; i++) {
      least[i] = largest(weights[i]) / units[i] / IntegerRows.LARGEST;
    }
    double[] candidates = Arrays.stream(least).filter(m -> m > 0).sorted().toArray();
    double best = 1.0 / IntegerRows.LARGEST;
    double bestError = Double.POSITIVE_INFINITY;
    for (double candidate : candidates) {
      double rounding = candidate * radius / Math.sqrt(12);
      double error = 0;
      for (int i = 0; i < units.length; i++) {
        double unit = units[i] * Math.max(1, least[i] / candidate);
        error += unit * unit * (POLYNOMIAL_ERROR * POLYNOMIAL_ERROR + rounding * rounding);
      }
      if (error < bestError) {
        bestError = error;
        best = candidate;
      }
    }
    return best;
  }

  /** The least unit of a row with which its integers fit. */
  static double leastUnit(double[] row, double multiplier) {
    return largest(row) / multiplier / IntegerRows.LARGEST;
  }

  private static double largest(double[] row) {
    return Arrays.stream(row).map(Math::abs).max().orElseThrow();
  }
}
