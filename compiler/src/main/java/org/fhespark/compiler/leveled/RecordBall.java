package org.fhespark.compiler.leveled;

import java.util.Arrays;

/**
 * Which records a circuit is made for: those of which {@code ‖(x − center) / spread‖₂ ≤ radius}. It
 * is in the client's artefact, and tells of calibration rows, not of weights.
 *
 * @param center the mean of each value
 * @param spread of each value
 * @param radius in units of the spread
 */
public record RecordBall(float[] center, float[] spread, double radius) {
  /**
   * Room beyond the calibration row that is farthest from the center. A record beyond is drawn
   * towards the center by the client, so that a little beyond does little harm.
   */
  static final double MARGIN = 1.125;

  /**
   * The least standard deviation, relative to the root mean square of all: a value that hardly ever
   * changed in calibration may still do so in a record, without taking it out of the ball.
   */
  private static final double LEAST_DEVIATION = 1.0 / 8;

  /** The share of a norm that float32 values of records may be wrong by. */
  private static final double ROUNDING = 1e-5;

  /**
   * The ball of some rows.
   *
   * @param rows {@code [row][values]}
   * @param exponent the spread is the standard deviation to this power: 0 for the same spread of
   *     all values, 1 for its own of each
   */
  static RecordBall of(float[][] rows, double exponent) {
    int width = rows[0].length;
    double[] mean = new double[width];
    for (float[] row : rows) {
      for (int j = 0; j < width; j++) {
        mean[j] += row[j] / (double) rows.length;
      }
    }
    double[] variance = new double[width];
    for (float[] row : rows) {
      for (int j = 0; j < width; j++) {
        variance[j] += Math.pow(row[j] - mean[j], 2) / rows.length;
      }
    }
    double typical = Math.sqrt(Arrays.stream(variance).average().orElseThrow());
    float[] center = new float[width];
    float[] spread = new float[width];
    for (int j = 0; j < width; j++) {
      center[j] = (float) mean[j];
      double deviation = Math.max(Math.sqrt(variance[j]), LEAST_DEVIATION * typical);
      spread[j] = typical == 0 ? 1 : (float) Math.pow(deviation, exponent);
    }
    RecordBall unit = new RecordBall(center, spread, 1);
    double largest = unit.largestNorm(rows);
    return new RecordBall(center, spread, largest == 0 ? 1 : MARGIN * largest);
  }

  /** The same, no smaller than these rows demand too. */
  RecordBall reaching(float[][] rows) {
    return new RecordBall(center, spread, Math.max(radius, MARGIN * largestNorm(rows)));
  }

  /** Of rows, in units of the spread, around the center. */
  private double largestNorm(float[][] rows) {
    double largest = 0;
    for (float[] row : rows) {
      largest = Math.max(largest, norm(normalise(row)));
    }
    return largest;
  }

  /** A row in units of the spread, around the center. */
  double[] normalise(float[] row) {
    double[] normalised = new double[row.length];
    for (int j = 0; j < row.length; j++) {
      normalised[j] = ((double) row[j] - center[j]) / spread[j];
    }
    return normalised;
  }

  /** The radius that bounds are proven for: also of records that a client's rounding made. */
  double provenRadius() {
    return radius * (1 + ROUNDING);
  }

  static double norm(double[] vector) {
    double square = 0;
    for (double value : vector) {
      square += value * value;
    }
    return Math.sqrt(square);
  }
}
