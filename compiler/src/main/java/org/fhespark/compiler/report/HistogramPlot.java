package org.fhespark.compiler.report;

import java.util.ArrayList;
import java.util.List;
import org.fhespark.compiler.Histogram;

/**
 * A histogram, laid out in pixels of a drawing.
 *
 * @param bars one for each bin that counts something
 * @param ticks of the horizontal axis
 * @param most the largest count, which reaches {@link #TOP}
 * @param total of all counts
 * @param upperBound of the histogram
 */
record HistogramPlot(List<Bar> bars, List<Tick> ticks, long most, long total, double upperBound) {
  static final int WIDTH = 300;
  static final int HEIGHT = 130;
  static final int LEFT = 44;
  static final int RIGHT = 290;
  static final int TOP = 10;
  static final int BOTTOM = 104;
  private static final int MOST_TICKS = 5;

  /**
   * A bin.
   *
   * @param from its lower bound
   * @param to its upper bound
   */
  record Bar(double x, double y, double width, double height, long count, double from, double to) {}

  /** A labelled place on the horizontal axis. */
  record Tick(double x, double value) {}

  static HistogramPlot of(Histogram histogram) {
    long most = histogram.counts().stream().mapToLong(Long::longValue).max().orElse(0);
    int bins = histogram.counts().size();
    double width = (double) (RIGHT - LEFT) / bins;
    List<Bar> bars = new ArrayList<>();
    for (int bin = 0; bin < bins; bin++) {
      long count = histogram.counts().get(bin);
      if (count > 0) {
        // A lone record among thousands still shows.
        double height = Math.max(1, (double) (BOTTOM - TOP) * count / most);
        bars.add(
            new Bar(
                LEFT + bin * width,
                BOTTOM - height,
                width - 1,
                height,
                count,
                histogram.upperBound() * bin / bins,
                histogram.upperBound() * (bin + 1) / bins));
      }
    }
    List<Tick> ticks = new ArrayList<>();
    ticks.add(new Tick(LEFT, 0));
    double step = tickStep(histogram.upperBound());
    for (int tick = 1; step > 0 && tick * step <= histogram.upperBound() * (1 + 1e-9); tick++) {
      double value = tick * step;
      ticks.add(new Tick(LEFT + (RIGHT - LEFT) * value / histogram.upperBound(), value));
    }
    long total = histogram.counts().stream().mapToLong(Long::longValue).sum();
    return new HistogramPlot(bars, ticks, most, total, histogram.upperBound());
  }

  /**
   * The least of 1, 2 or 5 times a power of ten that gives few ticks; 0 for an axis without extent.
   */
  private static double tickStep(double upperBound) {
    if (upperBound == 0) {
      return 0;
    }
    double power = Math.pow(10, Math.floor(Math.log10(upperBound / MOST_TICKS)));
    for (int factor : new int[] {1, 2, 5}) {
      if (upperBound / (factor * power) <= MOST_TICKS) {
        return factor * power;
      }
    }
    return 10 * power;
  }
}
