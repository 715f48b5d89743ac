package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class CompensatedRoundingTest {
  private static final int COLUMNS = 48;
  private static final int ROWS = 20;
  private static final int VECTORS = 4000;

  private final Random random = new Random(5);

  private double[][] normal(int rows, int columns) {
    double[][] matrix = new double[rows][columns];
    for (double[] row : matrix) {
      Arrays.setAll(row, j -> random.nextGaussian());
    }
    return matrix;
  }

  private static double[] steps(double[][] matrix) {
    return Arrays.stream(matrix)
        .mapToDouble(row -> Arrays.stream(row).map(Math::abs).max().orElseThrow() / 127)
        .toArray();
  }

  private static double[][] product(double[][] vectors, double[][] matrix) {
    double[][] products = new double[vectors.length][matrix.length];
    for (int t = 0; t < vectors.length; t++) {
      for (int i = 0; i < matrix.length; i++) {
        for (int j = 0; j < matrix[i].length; j++) {
          products[t][i] += vectors[t][j] * matrix[i][j];
        }
      }
    }
    return products;
  }

  /** Mean square difference of the products of vectors, apart from a constant. */
  private static double error(double[][] vectors, double[][] matrix, IntegerRows rounded) {
    double[][] exact = product(vectors, matrix);
    double[][] found = product(vectors, rounded.matrix());
    double sum = 0;
    for (int i = 0; i < matrix.length; i++) {
      double square = 0;
      double mean = 0;
      for (int t = 0; t < vectors.length; t++) {
        double difference = found[t][i] - exact[t][i];
        square += difference * difference / vectors.length;
        mean += difference / vectors.length;
      }
      sum += square - mean * mean;
    }
    return sum;
  }

  @Test
  void valuesThatGoTogetherMakeGoodForOneAnotherOnOtherVectorsToo() {
    double[][] mixing = normal(COLUMNS, COLUMNS / 8);
    double[][] vectors = product(normal(2 * VECTORS, COLUMNS / 8), mixing);
    double[][] own = normal(2 * VECTORS, COLUMNS);
    for (int t = 0; t < vectors.length; t++) {
      for (int j = 0; j < COLUMNS; j++) {
        vectors[t][j] += 0.2 * own[t][j] + 3;
      }
    }
    double[][] seen = Arrays.copyOf(vectors, VECTORS);
    double[][] others = Arrays.copyOfRange(vectors, VECTORS, 2 * VECTORS);
    double[][] matrix = normal(ROWS, COLUMNS);
    IntegerRows nearest = IntegerRows.of(matrix, steps(matrix));
    IntegerRows compensated = CompensatedRounding.of(seen).round(matrix, steps(matrix));
    assertArrayEquals(nearest.steps(), compensated.steps());
    double plain = error(others, matrix, nearest);
    double least = error(others, matrix, compensated);
    assertTrue(least < plain / 4, least + " and " + plain);
  }

  @Test
  void valuesThatDoNotGoTogetherAreRoundedToNearest() {
    double[][] vectors = new double[2 * COLUMNS][COLUMNS];
    for (int t = 0; t < vectors.length; t++) {
      vectors[t][t / 2] = t % 2 == 0 ? 1 + t : -1 - t;
    }
    double[][] matrix = normal(ROWS, COLUMNS);
    IntegerRows nearest = IntegerRows.of(matrix, steps(matrix));
    IntegerRows found = CompensatedRounding.of(vectors).round(matrix, steps(matrix));
    int different = 0;
    for (int i = 0; i < found.integers().length; i++) {
      different += found.integers()[i] == nearest.integers()[i] ? 0 : 1;
    }
    // The means of two vectors of a value are not quite zero, so values go together a little.
    assertTrue(different <= found.integers().length / 20, different + " differ");
  }

  @Test
  void constantsAndWideMatricesAreRoundedToNearest() {
    double[][] matrix = normal(ROWS, COLUMNS);
    IntegerRows nearest = IntegerRows.of(matrix, steps(matrix));
    double[][] constant = new double[3][COLUMNS];
    for (double[] vector : constant) {
      Arrays.fill(vector, 7);
    }
    assertArrayEquals(
        nearest.integers(),
        CompensatedRounding.of(constant).round(matrix, steps(matrix)).integers());
    double[][] wide = normal(2, 2049);
    assertArrayEquals(
        IntegerRows.of(wide, steps(wide)).integers(),
        CompensatedRounding.of(normal(3, 2049)).round(wide, steps(wide)).integers());
  }
}
