package org.fhespark.compiler.leveled;

/**
 * An affine map in float: {@code Σ_j weights[i][j] · x_j + biases[i]}.
 *
 * @param weights {@code [outputs][inputs]}
 * @param biases {@code [outputs]}
 */
record DenseLayer(float[][] weights, double[] biases) {
  int outputs() {
    return weights.length;
  }
}
