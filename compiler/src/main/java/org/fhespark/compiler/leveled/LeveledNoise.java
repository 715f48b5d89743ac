package org.fhespark.compiler.leveled;

import org.fhespark.nativelib.LeveledLayer;

/** Noise of leveled circuits, in units of the values that it is added to. */
final class LeveledNoise {
  /** Standard deviation of a fresh coefficient: centred binomial, of twice 21 bits. */
  private static final double FRESH = Math.sqrt(21.0 / 2);

  private LeveledNoise() {}

  /**
   * The largest standard deviation of what an activation of the first layer reads. Of all noise in
   * a circuit it is what comes nearest to the room that {@link PartialChain#MOST} leaves: inputs
   * have the smallest scale, and nothing after them is multiplied by large integers.
   *
   * @param polynomialSize n: a slot is a_0 + 2 Σ a_i cos(·), of 2n times a coefficient's variance
   */
  static double firstLayer(LeveledLayer layer, int polynomialSize, double nominalScale) {
    double slot = FRESH * Math.sqrt(2.0 * polynomialSize);
    double largest = 0;
    int inputs = layer.inputs();
    for (int i = 0; i < layer.outputs(); i++) {
      double square = 0;
      for (int j = 0; j < inputs; j++) {
        square += Math.pow(layer.weights()[i * inputs + j], 2);
      }
      largest = Math.max(largest, Math.sqrt(square));
    }
    return largest * slot / nominalScale;
  }
}
