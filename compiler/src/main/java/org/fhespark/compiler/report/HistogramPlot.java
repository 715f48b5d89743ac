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
  private static final int TICKS = 2;

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
    for (int tick = 0; tick <= TICKS; tick++) {
      ticks.add(
          new Tick(
              LEFT + (double) (RIGHT - LEFT) * tick / TICKS,
              histogram.upperBound() * tick / TICKS));
    }
    long total = histogram.counts().stream().mapToLong(Long::longValue).sum();
    return new HistogramPlot(bars, ticks, most, total, histogram.upperBound());
  }
}
