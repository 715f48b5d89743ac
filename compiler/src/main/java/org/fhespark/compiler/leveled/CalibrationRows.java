package org.fhespark.compiler.leveled;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Rows on their way through a chain: those that polynomials are fitted to, and those that errors
 * are measured on.
 *
 * @param fitted {@code [row][value]}
 * @param heldOut {@code [row][value]}
 */
record CalibrationRows(double[][] fitted, double[][] heldOut) {
  /** One of so many rows is held out. */
  private static final int HELD_OUT = 4;

  /** At most so many of some rows, from all over them: records often come sorted. */
  static float[][] some(float[][] rows, int most) {
    int count = Math.min(rows.length, most);
    return IntStream.range(0, count)
        .mapToObj(t -> rows[(int) ((long) t * rows.length / count)])
        .toArray(float[][]::new);
  }

  /** Rows of a module, cut into the two. */
  static CalibrationRows of(double[][] rows) {
    return new CalibrationRows(
        IntStream.range(0, rows.length)
            .filter(t -> rows.length < HELD_OUT || t % HELD_OUT != 0)
            .mapToObj(t -> rows[t])
            .toArray(double[][]::new),
        heldOut(rows));
  }

  /** Those of some rows that are held out. */
  static <T> T[] heldOut(T[] rows) {
    return IntStream.range(0, rows.length)
        .filter(t -> t % HELD_OUT == 0)
        .mapToObj(t -> rows[t])
        .toArray(size -> Arrays.copyOf(rows, size));
  }

  /** The mean of each value over the fitted rows. */
  double[] means() {
    double[] means = new double[fitted[0].length];
    for (double[] row : fitted) {
      for (int j = 0; j < means.length; j++) {
        means[j] += row[j] / fitted.length;
      }
    }
    return means;
  }

  /** {@code factors[i] · (matrix · row)[i] + constants[i]} of each row. */
  CalibrationRows affine(double[][] matrix, double[] constants) {
    return new CalibrationRows(
        affine(fitted, matrix, constants), affine(heldOut, matrix, constants));
  }

  /** The same of rows that are held out. */
  double[][] heldOutAffine(double[][] matrix, double[] constants) {
    return affine(heldOut, matrix, constants);
  }

  private static double[][] affine(double[][] rows, double[][] matrix, double[] constants) {
    return Arrays.stream(rows)
        .parallel()
        .map(row -> affine(row, matrix, constants))
        .toArray(double[][]::new);
  }

  private static double[] affine(double[] row, double[][] matrix, double[] constants) {
    double[] results = constants.clone();
    for (int i = 0; i < matrix.length; i++) {
      double sum = 0;
      for (int j = 0; j < matrix[i].length; j++) {
        sum += matrix[i][j] * row[j];
      }
      results[i] += sum;
    }
    return results;
  }

  /** A polynomial of each value. */
  CalibrationRows map(ChebyshevPolynomial[] polynomials) {
    return new CalibrationRows(map(fitted, polynomials), map(heldOut, polynomials));
  }

  private static double[][] map(double[][] rows, ChebyshevPolynomial[] polynomials) {
    return Arrays.stream(rows)
        .parallel()
        .map(row -> map(row, polynomials))
        .toArray(double[][]::new);
  }

  private static double[] map(double[] row, ChebyshevPolynomial[] polynomials) {
    double[] results = new double[row.length];
    for (int i = 0; i < row.length; i++) {
      results[i] = polynomials[i].value(row[i]);
    }
    return results;
  }

  /** A value of all fitted rows. */
  double[] fitted(int value) {
    return Arrays.stream(fitted).mapToDouble(row -> row[value]).toArray();
  }

  /** A value of all rows that are held out. */
  double[] heldOut(int value) {
    return Arrays.stream(heldOut).mapToDouble(row -> row[value]).toArray();
  }
}
