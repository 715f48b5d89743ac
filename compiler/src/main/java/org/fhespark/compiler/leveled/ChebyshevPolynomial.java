package org.fhespark.compiler.leveled;

import java.util.function.DoubleUnaryOperator;
import org.fhespark.nativelib.LeveledActivation.Form;

/**
 * A polynomial on [-1, 1]: {@code Σ_k c_k T_k(u)}, or {@code linear · u + Σ_k c_k T_k(2u² − 1)}.
 *
 * @param form which of them
 * @param coefficients c
 * @param linear 0 in form GENERAL
 */
record ChebyshevPolynomial(Form form, double[] coefficients, double linear) {
  /** Nodes per degree: {@link #bounds} are wider than the polynomial by 0.5 % at most. */
  private static final int NODES = 16;

  /** Room for the rounding of double arithmetic. */
  private static final double ROUNDING = 1e-9;

  /** The degree in u. */
  int degree() {
    int own = coefficients.length - 1;
    return form == Form.EVEN ? Math.max(1, 2 * own) : own;
  }

  /** Its value, by Clenshaw's recurrence. */
  double value(double u) {
    double t = form == Form.EVEN ? 2 * u * u - 1 : u;
    double next = 0;
    double second = 0;
    for (int k = coefficients.length - 1; k >= 1; k--) {
      double current = coefficients[k] + 2 * t * next - second;
      second = next;
      next = current;
    }
    return coefficients[0] + t * next - second + linear * u;
  }

  /** An interval that holds all its values over [-1, 1]. */
  Interval bounds() {
    return bounds(this::value, degree(), new Interval(-1, 1));
  }

  /**
   * An interval that holds all slopes of its secants through one point, to points of an interval.
   *
   * @param u0 the point
   * @param over where the other points lie
   */
  Interval secants(double u0, Interval over) {
    double[] quotient = quotient(u0);
    return bounds(u -> clenshaw(quotient, u), Math.max(1, degree() - 1), over);
  }

  /**
   * Chebyshev coefficients of {@code (p(u) − p(u0)) / (u − u0)}, which is a polynomial. With p = Σ
   * a_k T_k the b_k satisfy {@code b_{k−1} = 2a_k + 2u0·b_k − b_{k+1}}, and b_0 half of that.
   */
  private double[] quotient(double u0) {
    double[] all = inU();
    int degree = all.length - 1;
    double[] quotient = new double[degree + 2];
    for (int k = degree; k >= 1; k--) {
      quotient[k - 1] = 2 * all[k] + 2 * u0 * quotient[k] - quotient[k + 1];
    }
    quotient[0] /= 2;
    return quotient;
  }

  /** Coefficients of T_k(u): T_k(2u² − 1) = T_2k(u). */
  private double[] inU() {
    if (form == Form.GENERAL) {
      return coefficients;
    }
    double[] all = new double[degree() + 1];
    for (int k = 0; k < coefficients.length; k++) {
      all[2 * k] = coefficients[k];
    }
    all[1] += linear;
    return all;
  }

  private static double clenshaw(double[] coefficients, double u) {
    return new ChebyshevPolynomial(Form.GENERAL, coefficients, 0).value(u);
  }

  /**
   * Bounds of a polynomial q from its values at N Chebyshev nodes of an interval: {@code max|q| ≤
   * max_nodes |q| / cos(π·degree / 2N)} (Ehlich and Zeller, "Schwankung von Polynomen zwischen
   * Gitterpunkten", Math. Z. 86, 1964).
   */
  private static Interval bounds(DoubleUnaryOperator q, int degree, Interval over) {
    int nodes = NODES * (degree + 1);
    double least = Double.POSITIVE_INFINITY;
    double most = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < nodes; i++) {
      double node = over.middle() + over.half() * Math.cos(Math.PI * (i + 0.5) / nodes);
      double value = q.applyAsDouble(node);
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
    double middle = (least + most) / 2;
    double half =
        (most - least) / 2 / Math.cos(Math.PI * degree / (2.0 * nodes))
            + ROUNDING * Math.max(Math.abs(least), Math.abs(most));
    return new Interval(middle - half, middle + half);
  }

  /** (this − shift) / unit. */
  ChebyshevPolynomial normalised(double shift, double unit) {
    double[] scaled = new double[coefficients.length];
    for (int k = 0; k < scaled.length; k++) {
      scaled[k] = (coefficients[k] - (k == 0 ? shift : 0)) / unit;
    }
    return new ChebyshevPolynomial(form, scaled, linear / unit);
  }
}
