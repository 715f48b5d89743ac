package org.fhespark.compiler.leveled;

import org.fhespark.compiler.parameters.FailureProbability;
import org.fhespark.nativelib.LeveledLayer;

/** Noise of leveled circuits, in units of the values that it is added to. */
final class LeveledNoise {
  private LeveledNoise() {}

  /**
   * The largest standard deviation of what an activation of the first layer reads. Of all noise in
   * a circuit it is what comes nearest to the room that {@link PartialChain#MOST} leaves: inputs
   * have the smallest scale, and nothing after them is multiplied by large integers.
   *
   * @param inputNoise standard deviation of an input
   */
  static double firstLayer(LeveledLayer layer, double inputNoise) {
    double largest = 0;
    int inputs = layer.inputs();
    for (int i = 0; i < layer.outputs(); i++) {
      double square = 0;
      for (int j = 0; j < inputs; j++) {
        square += Math.pow(layer.weights()[i * inputs + j], 2);
      }
      largest = Math.max(largest, layer.multipliers()[i] * Math.sqrt(square));
    }
    return largest * inputNoise;
  }

  /**
   * The probability that noise takes what an activation reads out of the range of its polynomial.
   *
   * @param deviation of that noise
   * @param log2PError log2 of the largest probability that is allowed
   * @throws NotLeveledException if it is larger
   */
  static FailureProbability failure(double deviation, double log2PError)
      throws NotLeveledException {
    FailureProbability failure =
        FailureProbability.beyond((1 - PartialChain.MOST) / deviation, log2PError);
    if (failure.log2PerValue() > log2PError) {
      throw new NotLeveledException(
          ("noise takes what its first activation reads out of range with a probability of 2^%.0f,"
                  + " and 2^%.0f was asked for")
              .formatted(failure.log2PerValue(), log2PError));
    }
    return failure;
  }
}
