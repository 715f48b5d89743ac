package org.fhespark.compiler.leveled;

import org.fhespark.nativelib.LeveledActivation.Form;

/**
 * The polynomial of least mean square error over the arguments that occur. Arguments that do not
 * occur in calibration, anywhere in [-1, 1], have a small share of the weight, so that the
 * polynomial stays near the function there, too.
 */
final class SeriesFit {
  /** Nodes per degree of the quadrature. */
  private static final int NODES = 8;

  /** Share of arguments that are taken to be anywhere in the range. */
  private static final double ANYWHERE = 0.01;

  /** Cells of the histogram of arguments. */
  private static final int CELLS = 512;

  /** Passes of a moving mean over the histogram: three are nearly a normal kernel. */
  private static final int PASSES = 3;

  /** Relative to the largest diagonal entry: keeps the normal equations definite. */
  private static final double RIDGE = 1e-13;

  private final Form form;
  private final int[] orders;
  private final double[] nodes;

  /** T_k at the nodes, {@code [k][node]}, to twice the largest order. */
  private final double[][] basis;

  /**
   * Fits of a form and degree.
   *
   * @param degree the largest k of T_k
   */
  SeriesFit(Form form, int degree) {
    this.form = form;
    this.orders = orders(form, degree);
    int most = orders[orders.length - 1];
    this.nodes = new double[Math.max(CELLS, NODES * (most + 1))];
    this.basis = new double[2 * most + 1][nodes.length];
    for (int g = 0; g < nodes.length; g++) {
      double angle = Math.PI * (g + 0.5) / nodes.length;
      nodes[g] = Math.cos(angle);
      for (int k = 0; k < basis.length; k++) {
        basis[k][g] = Math.cos(k * angle);
      }
    }
  }

  /** Orders of T_k(u) that a form has, ascending: T_k(2u² − 1) is T_2k(u). */
  private static int[] orders(Form form, int degree) {
    if (form == Form.GENERAL) {
      int[] orders = new int[degree + 1];
      for (int k = 0; k <= degree; k++) {
        orders[k] = k;
      }
      return orders;
    }
    int[] orders = new int[degree + 2];
    orders[1] = 1;
    for (int k = 1; k <= degree; k++) {
      orders[k + 1] = 2 * k;
    }
    return orders;
  }

  /** Where values of functions are needed. */
  double[] nodes() {
    return nodes;
  }

  /**
   * Fits a function.
   *
   * @param values at the nodes
   * @param arguments that occur, in [-1, 1]
   */
  ChebyshevPolynomial fit(double[] values, double[] arguments) {
    double[] weights = weights(arguments);
    int most = orders[orders.length - 1];
    double[] moments = new double[2 * most + 1];
    for (int k = 0; k < moments.length; k++) {
      for (int g = 0; g < nodes.length; g++) {
        moments[k] += weights[g] * basis[k][g];
      }
    }
    int size = orders.length;
    double[][] equations = new double[size][size];
    double[] right = new double[size];
    for (int i = 0; i < size; i++) {
      for (int j = 0; j <= i; j++) {
        // T_a T_b = (T_{a+b} + T_{|a−b|}) / 2
        equations[i][j] =
            (moments[orders[i] + orders[j]] + moments[Math.abs(orders[i] - orders[j])]) / 2;
      }
      equations[i][i] += RIDGE * moments[0];
      for (int g = 0; g < nodes.length; g++) {
        right[i] += weights[g] * values[g] * basis[orders[i]][g];
      }
    }
    return polynomial(solve(equations, right));
  }

  private ChebyshevPolynomial polynomial(double[] solution) {
    if (form == Form.GENERAL) {
      return new ChebyshevPolynomial(form, solution, 0);
    }
    double[] even = new double[solution.length - 1];
    even[0] = solution[0];
    System.arraycopy(solution, 2, even, 1, even.length - 1);
    return new ChebyshevPolynomial(form, even, solution[1]);
  }

  /** Weights of the nodes: the density of arguments times the distance between nodes. */
  private double[] weights(double[] arguments) {
    double[] density = density(arguments);
    double[] weights = new double[nodes.length];
    for (int g = 0; g < nodes.length; g++) {
      int cell = (int) Math.min(CELLS - 1, (nodes[g] + 1) / 2 * CELLS);
      weights[g] = density[cell] * Math.sqrt(1 - nodes[g] * nodes[g]);
    }
    return weights;
  }

  /** How likely an argument is in each cell of [-1, 1], smoothed. */
  private static double[] density(double[] arguments) {
    double[] density = new double[CELLS];
    double mean = 0;
    double square = 0;
    for (double argument : arguments) {
      int cell = (int) Math.floor((argument + 1) / 2 * CELLS);
      density[Math.max(0, Math.min(CELLS - 1, cell))] += 1.0 / arguments.length;
      mean += argument / arguments.length;
      square += argument * argument / arguments.length;
    }
    double deviation = Math.sqrt(Math.max(0, square - mean * mean));
    // Silverman's rule for a normal kernel; a box of half-width h has a variance of about h²/3.
    double bandwidth = 1.06 * deviation * Math.pow(arguments.length, -0.2);
    int half = (int) Math.ceil(bandwidth * CELLS / 2 * Math.sqrt(3.0 / PASSES));
    for (int pass = 0; pass < PASSES; pass++) {
      density = movingMean(density, Math.max(1, half));
    }
    for (int i = 0; i < CELLS; i++) {
      density[i] = (1 - ANYWHERE) * density[i] + ANYWHERE / CELLS;
    }
    return density;
  }

  private static double[] movingMean(double[] values, int half) {
    double[] sums = new double[values.length + 1];
    for (int i = 0; i < values.length; i++) {
      sums[i + 1] = sums[i] + values[i];
    }
    double[] means = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      int from = Math.max(0, i - half);
      int to = Math.min(values.length, i + half + 1);
      means[i] = (sums[to] - sums[from]) / (2 * half + 1);
    }
    return means;
  }

  /** Solves symmetric positive definite equations, given by their lower half, by Cholesky. */
  private static double[] solve(double[][] equations, double[] right) {
    int size = right.length;
    double[] solution = right.clone();
    for (int i = 0; i < size; i++) {
      for (int j = 0; j <= i; j++) {
        double sum = equations[i][j];
        for (int k = 0; k < j; k++) {
          sum -= equations[i][k] * equations[j][k];
        }
        equations[i][j] = i == j ? Math.sqrt(sum) : sum / equations[j][j];
      }
      for (int k = 0; k < i; k++) {
        solution[i] -= equations[i][k] * solution[k];
      }
      solution[i] /= equations[i][i];
    }
    for (int i = size - 1; i >= 0; i--) {
      for (int k = i + 1; k < size; k++) {
        solution[i] -= equations[k][i] * solution[k];
      }
      solution[i] /= equations[i][i];
    }
    return solution;
  }
}
