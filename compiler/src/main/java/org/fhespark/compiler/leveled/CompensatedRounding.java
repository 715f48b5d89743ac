package org.fhespark.compiler.leveled;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Rounds a matrix to integers so that its products with the vectors of calibration change least:
 * what rounding a column changes, columns that are not rounded yet make good as far as they go
 * along with it. This is GPTQ (Frantar, Ashkboos, Hoefler and Alistarh, 2022,
 * https://arxiv.org/abs/2210.17323), as Babai's nearest plane on the Cholesky factor of the
 * vectors' covariance.
 */
final class CompensatedRounding {
  /** Of the mean variance, added to each: calibration does not tell all about how values go. */
  private static final double DAMPING = 0.1;

  /** Of wider matrices each entry is rounded to nearest, for this takes the cube of operations. */
  private static final int MOST_COLUMNS = 2048;

  /** Columns, the first that is rounded last. */
  private final int[] order;

  /** The upper triangle of the Cholesky factor U of the covariance Uᵀ · U, in that order. */
  private final double[][] factor;

  private CompensatedRounding(int[] order, double[][] factor) {
    this.order = order;
    this.factor = factor;
  }

  /**
   * Rounding for products with such vectors; constants are made good by biases.
   *
   * @param vectors {@code [vector][columns]}
   */
  static CompensatedRounding of(double[][] vectors) {
    int columns = vectors[0].length;
    double[][] centered = centered(vectors);
    double[] variances = new double[columns];
    for (double[] vector : centered) {
      for (int j = 0; j < columns; j++) {
        variances[j] += vector[j] * vector[j];
      }
    }
    double damping = DAMPING * Arrays.stream(variances).average().orElseThrow();
    if (columns > MOST_COLUMNS || !(damping > 0)) {
      return new CompensatedRounding(IntStream.range(0, columns).toArray(), new double[0][]);
    }
    // What varies most is rounded first, while there are others to make good.
    int[] order =
        IntStream.range(0, columns)
            .boxed()
            .sorted(Comparator.comparingDouble(j -> variances[j]))
            .mapToInt(Integer::intValue)
            .toArray();
    return new CompensatedRounding(order, factor(products(centered, order, damping)));
  }

  private static double[][] centered(double[][] vectors) {
    double[] mean = new double[vectors[0].length];
    for (double[] vector : vectors) {
      for (int j = 0; j < mean.length; j++) {
        mean[j] += vector[j] / vectors.length;
      }
    }
    return Arrays.stream(vectors)
        .map(
            vector -> {
              double[] centered = vector.clone();
              for (int j = 0; j < mean.length; j++) {
                centered[j] -= mean[j];
              }
              return centered;
            })
        .toArray(double[][]::new);
  }

  /** Sums over the vectors of products of two values, the upper triangle. */
  private static double[][] products(double[][] vectors, int[] order, double damping) {
    int columns = order.length;
    double[][] ordered =
        Arrays.stream(vectors)
            .map(vector -> Arrays.stream(order).mapToDouble(j -> vector[j]).toArray())
            .toArray(double[][]::new);
    double[][] products = new double[columns][];
    IntStream.range(0, columns)
        .parallel()
        .forEach(
            a -> {
              double[] row = new double[columns];
              for (double[] vector : ordered) {
                addMultiple(row, vector, vector[a], a);
              }
              row[a] += damping;
              products[a] = row;
            });
    return products;
  }

  /** Cholesky's, in place. */
  private static double[][] factor(double[][] matrix) {
    int columns = matrix.length;
    for (int a = 0; a < columns; a++) {
      double[] row = matrix[a];
      double root = Math.sqrt(row[a]);
      for (int c = a; c < columns; c++) {
        row[c] /= root;
      }
      IntStream.range(a + 1, columns)
          .parallel()
          .forEach(b -> addMultiple(matrix[b], row, -row[b], b));
    }
    return matrix;
  }

  private static void addMultiple(double[] sums, double[] values, double factor, int from) {
    for (int c = from; c < sums.length; c++) {
      sums[c] += factor * values[c];
    }
  }

  /**
   * Rounds a matrix.
   *
   * @param matrix {@code [rows][columns]}
   * @param steps of each row; no entry is more than 127 of them
   */
  IntegerRows round(double[][] matrix, double[] steps) {
    if (factor.length == 0) {
      return IntegerRows.of(matrix, steps);
    }
    int columns = order.length;
    byte[] integers = new byte[Math.multiplyExact(matrix.length, columns)];
    IntStream.range(0, matrix.length)
        .parallel()
        .forEach(i -> round(matrix[i], steps[i], integers, i * columns));
    return new IntegerRows(integers, steps, columns);
  }

  private void round(double[] row, double step, byte[] integers, int first) {
    double[] errors = new double[row.length];
    for (int a = row.length - 1; a >= 0; a--) {
      double[] along = factor[a];
      double wanting = 0;
      for (int c = a + 1; c < row.length; c++) {
        wanting += errors[c] * along[c];
      }
      double exact = row[order[a]];
      byte rounded = IntegerRows.nearest((exact + wanting / along[a]) / step);
      integers[first + order[a]] = rounded;
      errors[a] = exact - rounded * step;
    }
  }
}
