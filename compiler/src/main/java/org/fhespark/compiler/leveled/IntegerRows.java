package org.fhespark.compiler.leveled;

/**
 * A matrix as signed bytes times a step of each row.
 *
 * @param integers {@code [rows][columns]}, row-major
 * @param steps of each row
 * @param columns of the matrix
 */
record IntegerRows(byte[] integers, double[] steps, int columns) {
  static final int LARGEST = 127;

  /**
   * Rounds a matrix to nearest.
   *
   * @param steps of each row; no entry is more than 127 of them
   */
  static IntegerRows of(double[][] matrix, double[] steps) {
    int columns = matrix[0].length;
    byte[] integers = new byte[Math.multiplyExact(matrix.length, columns)];
    for (int i = 0; i < matrix.length; i++) {
      for (int j = 0; j < columns; j++) {
        integers[i * columns + j] = nearest(matrix[i][j] / steps[i]);
      }
    }
    return new IntegerRows(integers, steps, columns);
  }

  /** The integer nearest to a number, of those that there are. */
  static byte nearest(double number) {
    return (byte) Math.max(-LARGEST, Math.min(LARGEST, Math.round(number)));
  }

  /** The matrix that they are. */
  double[][] matrix() {
    double[][] matrix = new double[steps.length][columns];
    for (int i = 0; i < matrix.length; i++) {
      for (int j = 0; j < columns; j++) {
        matrix[i][j] = steps[i] * integers[i * columns + j];
      }
    }
    return matrix;
  }
}
