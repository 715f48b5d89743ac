package org.fhespark.compiler.quantize;

import java.util.List;
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
  /** The fewest bits of a weight, its sign included. */
  public static final int FEWEST_BITS = 2;

  /** The most bits of a weight: kernels multiply by bytes. */
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

  /** The rows of several modules that read the same records, one after another. */
  public static QuantizedWeights stacked(List<QuantizedWeights> modules, int dIn) {
    if (modules.size() == 1) {
      return modules.get(0);
    }
    int dOut = modules.stream().mapToInt(module -> module.scales.length).sum();
    byte[] values = new byte[Math.multiplyExact(dOut, dIn)];
    float[] scales = new float[dOut];
    int bits = FEWEST_BITS;
    int row = 0;
    for (QuantizedWeights module : modules) {
      System.arraycopy(module.values, 0, values, row * dIn, module.values.length);
      System.arraycopy(module.scales, 0, scales, row, module.scales.length);
      bits = Math.max(bits, module.bits);
      row += module.scales.length;
    }
    return new QuantizedWeights(values, scales, bits, WeightNorms.of(values, dIn, dOut));
  }

  /**
   * Integers that a model trained with quantisation has itself.
   *
   * @param values integers {@code [dOut][dIn]}, row-major
   * @param scales {@code [dOut]}, all positive
   */
  public static QuantizedWeights given(byte[] values, double[] scales, int bits) {
    float[] rounded = new float[scales.length];
    for (int j = 0; j < scales.length; j++) {
      rounded[j] = (float) scales[j];
    }
    int dIn = values.length / scales.length;
    return new QuantizedWeights(values, rounded, bits, WeightNorms.of(values, dIn, scales.length));
  }
}
