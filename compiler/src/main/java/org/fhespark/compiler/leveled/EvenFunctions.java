package org.fhespark.compiler.leveled;

import org.fhespark.compiler.lookups.ValueFunction;

/**
 * Tells functions that are even but for a straight line, f(x) − αx = f(−x) + αx: ReLU, leaky ReLU,
 * GELU, SiLU, HardSwish, softplus.
 */
final class EvenFunctions {
  private static final int TRIALS = 257;

  /** Of the function's largest value: float32 differs by so much. */
  private static final double ROUNDING = 2e-6;

  private EvenFunctions() {}

  /**
   * Tries a function, over the whole range and over small parts of it.
   *
   * @param range arguments are in [-range, range]
   */
  static boolean isEvenButForALine(ValueFunction function, double range) {
    double[] arguments = new double[2 * TRIALS];
    for (int i = 0; i < TRIALS; i++) {
      // Half of them evenly, half ever closer to zero.
      arguments[i] =
          i % 2 == 0 ? range * (i + 1) / TRIALS : range * Math.pow(2, -16.0 * i / TRIALS);
      arguments[TRIALS + i] = -arguments[i];
    }
    double[] values = function.apply(arguments);
    double largest = 0;
    for (double value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    double slope = (values[TRIALS - 1] - values[2 * TRIALS - 1]) / (2 * arguments[TRIALS - 1]);
    for (int i = 0; i < TRIALS; i++) {
      double odd = (values[i] - values[TRIALS + i]) / 2;
      if (!(Math.abs(odd - slope * arguments[i]) <= ROUNDING * largest)) {
        return false;
      }
    }
    return true;
  }
}
