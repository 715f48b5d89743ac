package org.fhespark.compiler;

import java.util.Arrays;
import java.util.List;

/**
 * How positive quantities spread.
 *
 * @param upperBound of the last bin; the bins are of equal width and cover [0, upperBound]
 * @param counts per bin
 */
public record Histogram(double upperBound, List<Long> counts) {
  public Histogram {
    counts = List.copyOf(counts);
  }

  /**
   * Counts values, from 0 to the largest.
   *
   * @param values finite, none negative
   * @param bins at least 1
   */
  public static Histogram of(double[] values, int bins) {
    long[] once = new long[values.length];
    Arrays.fill(once, 1);
    return of(values, once, bins);
  }

  /**
   * As above, of values that count more than once.
   *
   * @param weights how often each counts
   */
  public static Histogram of(double[] values, long[] weights, int bins) {
    double largest = 0;
    for (double value : values) {
      largest = Math.max(largest, value);
    }
    long[] counts = new long[bins];
    for (int i = 0; i < values.length; i++) {
      int bin = largest == 0 ? 0 : (int) Math.min(bins - 1, values[i] / largest * bins);
      counts[bin] += weights[i];
    }
    return of(largest, counts);
  }

  /** A histogram that was counted already. */
  public static Histogram of(double upperBound, long[] counts) {
    return new Histogram(upperBound, Arrays.stream(counts).boxed().toList());
  }
}
