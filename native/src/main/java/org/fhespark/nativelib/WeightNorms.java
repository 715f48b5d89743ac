package org.fhespark.nativelib;

/**
 * What a client must know of the quantised weights to keep every accumulator in range. (It also
 * knows each output's scale, which it needs to dequantise.)
 *
 * <p>By Hölder's inequality |⟨x, W_j⟩| is at most ‖x‖∞·‖W_j‖₁, ‖x‖₂·‖W_j‖₂ and ‖x‖₁·‖W_j‖∞; a
 * record for which any of the three is below 2^(p-1) cannot wrap.
 *
 * @param maxL1 max over outputs j of Σ_i |W_ij|
 * @param maxL2Squared max over outputs j of Σ_i W_ij²
 * @param maxAbs max |W_ij|
 */
public record WeightNorms(long maxL1, long maxL2Squared, int maxAbs) {
  /** The norms of integer weights {@code [dOut][dIn]}, row-major. */
  public static WeightNorms of(byte[] weights, int dIn, int dOut) {
    long maxL1 = 0;
    long maxL2Squared = 0;
    int maxAbs = 0;
    for (int j = 0; j < dOut; j++) {
      long l1 = 0;
      long l2Squared = 0;
      for (int i = 0; i < dIn; i++) {
        int w = weights[j * dIn + i];
        l1 += Math.abs(w);
        l2Squared += (long) w * w;
        maxAbs = Math.max(maxAbs, Math.abs(w));
      }
      maxL1 = Math.max(maxL1, l1);
      maxL2Squared = Math.max(maxL2Squared, l2Squared);
    }
    return new WeightNorms(maxL1, maxL2Squared, maxAbs);
  }
}
