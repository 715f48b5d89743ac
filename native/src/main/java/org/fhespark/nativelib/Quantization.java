package org.fhespark.nativelib;

/**
 * How a client turns float activations into integers: x_int = round(x / s), symmetric, with one
 * scale s a record.
 *
 * @param activationBits integers lie in [-(2^(a-1)-1), 2^(a-1)-1]; 2 to 16
 * @param staticScale the scale of every record, from calibration; 0 for dynamic quantisation, where
 *     s = max|x| / (2^(a-1)-1). Either way a record that could overflow its accumulators gets a
 *     coarser scale, see {@link WeightNorms}
 */
public record Quantization(int activationBits, float staticScale) {
  /** Whether each record has a scale of its own. */
  public boolean isDynamic() {
    return staticScale == 0f;
  }
}
