package org.fhespark.bench;

import java.util.Arrays;
import java.util.List;

/** Fits sums of non-negative terms to measurements. */
final class LeastSquares {
  private static final int SWEEPS = 200_000;

  private LeastSquares() {}

  /**
   * Coefficients c ≥ 0 that minimise the sum of the squares of relative errors, (Σ_j c_j·terms_ij -
   * measured_i) / measured_i.
   */
  static double[] relative(List<double[]> terms, double[] measured) {
    int count = terms.get(0).length;
    double[] coefficients = new double[count];
    double[] residuals = new double[measured.length];
    Arrays.fill(residuals, -1);
    // Coordinate descent: each sweep minimises along one coefficient after the other.
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
      for (int j = 0; j < count; j++) {
        double slope = 0;
        double curvature = 0;
        for (int i = 0; i < measured.length; i++) {
          double relative = terms.get(i)[j] / measured[i];
          slope += relative * residuals[i];
          curvature += relative * relative;
        }
        if (curvature == 0) {
          continue;
        }
        double step = Math.max(-slope / curvature, -coefficients[j]);
        coefficients[j] += step;
        for (int i = 0; i < measured.length; i++) {
          residuals[i] += step * terms.get(i)[j] / measured[i];
        }
      }
    }
    return coefficients;
  }

  /** Relative error of each measurement's fit. */
  static double[] errors(List<double[]> terms, double[] measured, double[] coefficients) {
    double[] errors = new double[measured.length];
    for (int i = 0; i < measured.length; i++) {
      double fitted = 0;
      for (int j = 0; j < coefficients.length; j++) {
        fitted += coefficients[j] * terms.get(i)[j];
      }
      errors[i] = fitted / measured[i] - 1;
    }
    return errors;
  }
}
