package org.fhespark.compiler;

import java.util.ArrayList;
import java.util.List;

/**
 * How positive quantities spread.
 *
 * @param upperBound of the last bin; the bins are of equal width and cover [0, upperBound]
 * @param counts per bin
 */
public record Histogram(double upperBound, List<Integer> counts) {
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
    double largest = 0;
    for (double value : values) {
      largest = Math.max(largest, value);
    }
    int[] counts = new int[bins];
    for (double value : values) {
      counts[largest == 0 ? 0 : (int) Math.min(bins - 1, value / largest * bins)]++;
    }
    return of(largest, counts);
  }

  /** A histogram that was counted already. */
  public static Histogram of(double upperBound, int[] counts) {
    List<Integer> boxed = new ArrayList<>(counts.length);
    for (int count : counts) {
      boxed.add(count);
    }
    return new Histogram(upperBound, boxed);
  }
}
