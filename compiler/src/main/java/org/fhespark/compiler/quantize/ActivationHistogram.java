package org.fhespark.compiler.quantize;

import java.nio.FloatBuffer;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ActivationSummary;
import org.fhespark.compiler.artifact.ActivationSummary.NormBin;
import org.fhespark.compiler.artifact.Unfolding;

/**
 * Gathers an {@link ActivationSummary}. In whatever order rows come, the result is the same. Safe
 * to share between threads.
 */
public final class ActivationHistogram {
  private final String tensor;
  private final Map<NormBin, Long> counts = new HashMap<>();
  private double rows;
  private long nonZeroRows;
  private float maxAbs;

  /**
   * An empty one.
   *
   * @param tensor the activation's name, for messages
   */
  public ActivationHistogram(String tensor) {
    this.tensor = tensor;
  }

  /**
   * Adds rows.
   *
   * @param values {@code [rows][width]}, row-major
   * @throws InvalidInputException if a value is infinite or not a number; no row is then added
   */
  public void addRows(FloatBuffer values, int width) {
    Part part = new Part();
    float[] row = new float[width];
    while (values.remaining() >= width) {
      values.get(row);
      part.add(row, 1);
    }
    merge(part);
  }

  /**
   * Adds a convolution's windows, or where there are many a sample of them.
   *
   * @param values the tensor
   * @throws InvalidInputException if a value is infinite or not a number; no row is then added
   */
  public void addWindows(FloatBuffer values, Windows windows) {
    Part part = new Part();
    FloatBuffer all = values.duplicate();
    while (all.hasRemaining()) {
      part.max = Math.max(part.max, magnitude(all.get()));
    }
    windows.sample(values, part::add);
    merge(part);
  }

  private synchronized void merge(Part part) {
    part.counts.forEach((bin, count) -> counts.merge(bin, count, Long::sum));
    rows += part.rows;
    nonZeroRows += part.nonZeroRows;
    maxAbs = Math.max(maxAbs, part.max);
  }

  private float magnitude(float value) {
    float magnitude = Math.abs(value);
    if (!(magnitude <= Float.MAX_VALUE)) {
      throw new InvalidInputException("tensor '" + tensor + "' holds " + value);
    }
    return magnitude;
  }

  /** Rows that one thread has at hand. */
  private final class Part {
    private final Map<NormBin, Long> counts = new HashMap<>();
    private double rows;
    private long nonZeroRows;
    private float max;

    void add(float[] row, double standsFor) {
      float largest = 0;
      double l2Squared = 0;
      double l1 = 0;
      for (float value : row) {
        float magnitude = magnitude(value);
        largest = Math.max(largest, magnitude);
        l2Squared += (double) magnitude * magnitude;
        l1 += magnitude;
      }
      rows += standsFor;
      max = Math.max(max, largest);
      if (largest > 0) {
        nonZeroRows++;
        counts.merge(NormBin.of(largest, Math.sqrt(l2Squared), l1, 1), 1L, Long::sum);
      }
    }
  }

  /** Rows added so far. */
  public synchronized long rows() {
    return Math.round(rows);
  }

  /**
   * The summary of all rows added so far.
   *
   * @param unfolding how windows became rows; null if a row is the tensor's last axis
   * @param width elements of a row
   * @param skipsPadding whether rows of padding were left out
   */
  public synchronized ActivationSummary summary(
      Unfolding unfolding, int width, boolean skipsPadding) {
    List<NormBin> bins =
        counts.entrySet().stream()
            .map(e -> new NormBin(e.getKey().max(), e.getKey().l2(), e.getKey().l1(), e.getValue()))
            .sorted(
                Comparator.comparingInt(NormBin::max)
                    .thenComparingInt(NormBin::l2)
                    .thenComparingInt(NormBin::l1))
            .toList();
    return new ActivationSummary(
        tensor, unfolding, width, skipsPadding, Math.round(rows), nonZeroRows, maxAbs, bins);
  }
}
