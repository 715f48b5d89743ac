package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

class SpectralNormTest {
  private static double[][] random(int rows, int columns) {
    Random random = new Random(1);
    double[][] matrix = new double[rows][columns];
    for (double[] row : matrix) {
      for (int j = 0; j < columns; j++) {
        row[j] = random.nextGaussian();
      }
    }
    return matrix;
  }

  @Test
  void noVectorGrowsMoreThanTheBoundSays() {
    double[][] matrix = random(30, 50);
    double bound = SpectralNorm.bound(matrix);
    double[] vector = random(1, 50)[0];
    double growth = 0;
    for (int step = 0; step < 2000; step++) {
      double[] image = new double[30];
      double[] back = new double[50];
      for (int i = 0; i < 30; i++) {
        for (int j = 0; j < 50; j++) {
          image[i] += matrix[i][j] * vector[j] / RecordBall.norm(vector);
        }
        for (int j = 0; j < 50; j++) {
          back[j] += matrix[i][j] * image[i];
        }
      }
      growth = RecordBall.norm(image);
      vector = back;
    }
    assertTrue(growth <= bound && bound < 1.03 * growth, growth + " of " + bound);
  }

  @Test
  void anEstimateThatMissesTheLargestIsFoundOut() {
    // The power method starts from (1, 1.01, 1.02), to which (0, 1.02, -1.01) is orthogonal: of
    // the singular values 1 and 1.2 it sees the first.
    double length = Math.hypot(1.02, 1.01);
    double[][] matrix = {{1, 0, 0}, {0, 1.2 * 1.02 / length, 0}, {0, -1.2 * 1.01 / length, 0}};
    double bound = SpectralNorm.bound(matrix);
    double norm = 1.2;
    assertTrue(bound >= norm && bound < 1.03 * norm, bound + " for " + norm);
  }

  @Test
  void aMatrixOfZerosHasNorm0() {
    assertEquals(0, SpectralNorm.bound(new double[4][3]));
  }
}
