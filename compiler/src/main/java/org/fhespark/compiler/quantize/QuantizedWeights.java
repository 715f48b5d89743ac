package org.fhespark.compiler.quantize;

import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.WeightNorms;

/**
 * Weights as integers, symmetric, with one scale per output channel: W ≈ scale_j · w_j.
 *
 * @param values integers {@code [dOut][dIn]}, row-major, in [-(2^(bits-1)-1), 2^(bits-1)-1]
 * @param scales {@code [dOut]}, all positive
 * @param bits 2 to 8
 * @param norms what bounds the accumulators
 */
public record QuantizedWeights(byte[] values, float[] scales, int bits, WeightNorms norms) {
  public static final int FEWEST_BITS = 2;
  public static final int MOST_BITS = 8;

  /**
   * Rounds weights to integers. A channel of zeros (or of values whose scale would underflow)
   * becomes zeros of scale 1; any other holds the largest integer, which is odd: a circuit whose
   * results are rounded needs an odd weight in each.
   *
   * @param module the module's key, for messages
   * @param weights {@code [dOut][dIn]}, row-major
   * @throws InvalidInputException if a weight is infinite or not a number
   */
  public static QuantizedWeights quantize(
      String module, float[] weights, int dIn, int dOut, int bits) {
    int largest = (1 << (bits - 1)) - 1;
    byte[] values = new byte[weights.length];
    float[] scales = new float[dOut];
    for (int j = 0; j < dOut; j++) {
      float max = 0;
      for (int i = 0; i < dIn; i++) {
        float weight = weights[j * dIn + i];
        if (!Float.isFinite(weight)) {
          throw new InvalidInputException(
              "module '"
                  + module
                  + "': its weight ["
                  + j
                  + ", "
                  + i
                  + "] is "
                  + weight
                  + "; a circuit needs finite weights");
        }
        max = Math.max(max, Math.abs(weight));
      }
      float scale = max / largest;
      if (scale < Float.MIN_NORMAL) {
        scales[j] = 1f;
        continue;
      }
      scales[j] = scale;
      for (int i = 0; i < dIn; i++) {
        double rounded = Math.rint(weights[j * dIn + i] / (double) scale);
        values[j * dIn + i] = (byte) Math.max(-largest, Math.min(largest, rounded));
      }
    }
    return new QuantizedWeights(values, scales, bits, WeightNorms.of(values, dIn, dOut));
  }
}
