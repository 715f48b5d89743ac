package org.fhespark.compiler.leveled;

/** Upper bounds of the largest singular value of a matrix. */
final class SpectralNorm {
  private static final int ITERATIONS = 60;

  /** What a bound may exceed the estimate by at first. */
  private static final double ROOM = 1.01;

  /** Beyond, a Cholesky factorisation takes minutes. */
  private static final int MOST_FACTORED = 2048;

  private SpectralNorm() {}

  /**
   * A bound that holds for certain. The power method finds λ, an estimate from below of the largest
   * eigenvalue of the Gram matrix G; that µI − G has a Cholesky factorisation proves that µ is
   * larger than all of them.
   *
   * @param matrix {@code [rows][columns]}
   */
  static double bound(double[][] matrix) {
    int rows = matrix.length;
    int columns = matrix[0].length;
    double frobenius = frobenius(matrix);
    if (frobenius == 0 || Math.min(rows, columns) > MOST_FACTORED) {
      return frobenius;
    }
    double[][] gram = gram(rows <= columns ? matrix : transposed(matrix));
    for (double square = ROOM * estimate(gram); square < frobenius * frobenius; square *= ROOM) {
      if (exceedsAllEigenvalues(square, gram)) {
        return Math.sqrt(square * ROOM);
      }
    }
    return frobenius;
  }

  /** The root of the sum of squares. */
  private static double frobenius(double[][] matrix) {
    double square = 0;
    for (double[] row : matrix) {
      for (double value : row) {
        square += value * value;
      }
    }
    return Math.sqrt(square);
  }

  private static double[][] transposed(double[][] matrix) {
    double[][] transposed = new double[matrix[0].length][matrix.length];
    for (int i = 0; i < matrix.length; i++) {
      for (int j = 0; j < matrix[i].length; j++) {
        transposed[j][i] = matrix[i][j];
      }
    }
    return transposed;
  }

  /** Products of rows; the upper half is left out. */
  private static double[][] gram(double[][] rows) {
    double[][] gram = new double[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      gram[i] = new double[i + 1];
      for (int j = 0; j <= i; j++) {
        double sum = 0;
        for (int k = 0; k < rows[i].length; k++) {
          sum += rows[i][k] * rows[j][k];
        }
        gram[i][j] = sum;
      }
    }
    return gram;
  }

  private static double estimate(double[][] gram) {
    int size = gram.length;
    double[] vector = new double[size];
    for (int i = 0; i < size; i++) {
      vector[i] = 1 + 0.01 * (i % 7);
    }
    double eigenvalue = 0;
    for (int iteration = 0; iteration < ITERATIONS; iteration++) {
      double length = RecordBall.norm(vector);
      double[] product = new double[size];
      for (int i = 0; i < size; i++) {
        double scaled = vector[i] / length;
        product[i] += gram[i][i] * scaled;
        for (int j = 0; j < i; j++) {
          product[i] += gram[i][j] * vector[j] / length;
          product[j] += gram[i][j] * scaled;
        }
      }
      vector = product;
      eigenvalue = RecordBall.norm(product);
      if (eigenvalue == 0) {
        return 0;
      }
    }
    return eigenvalue;
  }

  private static boolean exceedsAllEigenvalues(double value, double[][] gram) {
    int size = gram.length;
    double[][] factor = new double[size][];
    for (int i = 0; i < size; i++) {
      factor[i] = new double[i + 1];
      for (int j = 0; j <= i; j++) {
        double sum = (i == j ? value : 0) - gram[i][j];
        for (int k = 0; k < j; k++) {
          sum -= factor[i][k] * factor[j][k];
        }
        if (i > j) {
          factor[i][j] = sum / factor[j][j];
        } else if (sum > 0) {
          factor[i][i] = Math.sqrt(sum);
        } else {
          return false;
        }
      }
    }
    return true;
  }
}
