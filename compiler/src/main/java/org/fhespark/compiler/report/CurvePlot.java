package org.fhespark.compiler.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.StringJoiner;
import java.util.stream.DoubleStream;
import org.fhespark.compiler.leveled.LeveledFigures;

/**
 * A function and the polynomial that stands for it, over a histogram of their arguments, laid out
 * in pixels of a drawing.
 *
 * @param function points of a line
 * @param polynomial points of a line
 * @param bars of the histogram
 * @param low the least argument
 * @param high the largest
 * @param least value of both
 * @param most value of both
 * @param zero where the argument is 0; outside the drawing if it never is
 */
record CurvePlot(
    String function,
    String polynomial,
    List<Bar> bars,
    double low,
    double high,
    double least,
    double most,
    double zero) {
  static final int WIDTH = 300;
  static final int HEIGHT = 150;
  static final int LEFT = 44;
  static final int RIGHT = 290;
  static final int TOP = 10;
  static final int BOTTOM = 118;

  /** How high the histogram's largest bar is. */
  private static final double BAR_SHARE = 0.4;

  private static final int MOST_BARS = 40;

  /** A bin of the histogram. */
  record Bar(double x, double y, double width, double height) {}

  static CurvePlot of(LeveledFigures.Curve curve) {
    double least = both(curve).min().orElseThrow();
    double most = both(curve).max().orElseThrow();
    double extent = most > least ? most - least : 1;
    return new CurvePlot(
        points(curve.function(), least, extent),
        points(curve.polynomial(), least, extent),
        bars(curve.counts()),
        curve.low(),
        curve.high(),
        least,
        most,
        LEFT + (RIGHT - LEFT) * -curve.low() / (curve.high() - curve.low()));
  }

  private static DoubleStream both(LeveledFigures.Curve curve) {
    return DoubleStream.concat(Arrays.stream(curve.function()), Arrays.stream(curve.polynomial()));
  }

  private static String points(double[] values, double least, double extent) {
    StringJoiner points = new StringJoiner(" ");
    for (int g = 0; g < values.length; g++) {
      points.add(
          String.format(
              Locale.ROOT,
              "%.1f,%.1f",
              LEFT + (double) (RIGHT - LEFT) * g / (values.length - 1),
              BOTTOM - (BOTTOM - TOP) * (values[g] - least) / extent));
    }
    return points.toString();
  }

  private static List<Bar> bars(long[] counts) {
    int together = (counts.length + MOST_BARS - 1) / MOST_BARS;
    int number = (counts.length + together - 1) / together;
    long[] sums = new long[number];
    for (int i = 0; i < counts.length; i++) {
      sums[i / together] += counts[i];
    }
    double largest = Math.max(1, Arrays.stream(sums).max().orElseThrow());
    double width = (double) (RIGHT - LEFT) / number;
    List<Bar> bars = new ArrayList<>();
    for (int i = 0; i < number; i++) {
      if (sums[i] > 0) {
        double height = Math.max(1, BAR_SHARE * (BOTTOM - TOP) * sums[i] / largest);
        bars.add(new Bar(LEFT + i * width, BOTTOM - height, width - 1, height));
      }
    }
    return bars;
  }
}
