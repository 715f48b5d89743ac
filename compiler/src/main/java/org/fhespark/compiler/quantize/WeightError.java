package org.fhespark.compiler.quantize;

/** What rounding weights to integers loses. */
public final class WeightError {
  private WeightError() {}

  /**
   * The relative RMS error of each output channel, ‖W_j - scale_j · w_j‖₂ / ‖W_j‖₂; 0 of a channel
   * of zeros.
   *
   * @param weights {@code [dOut][dIn]}, row-major
   */
  public static double[] perOutput(float[] weights, QuantizedWeights quantized) {
    int dOut = quantized.scales().length;
    int dIn = weights.length / dOut;
    double[] errors = new double[dOut];
    for (int j = 0; j < dOut; j++) {
      double lost = 0;
      double whole = 0;
      for (int i = 0; i < dIn; i++) {
        double weight = weights[j * dIn + i];
        double error = weight - (double) quantized.scales()[j] * quantized.values()[j * dIn + i];
        lost += error * error;
        whole += weight * weight;
      }
      errors[j] = whole == 0 ? 0 : Math.sqrt(lost / whole);
    }
    return errors;
  }
}
