package org.fhespark.bench;

import java.util.List;
import org.apache.commons.math3.stat.regression.SimpleRegression;

/**
 * How a figure moved over the second half of a soak: a line fitted by least squares.
 *
 * @param half the fitted value at half time
 * @param growth by the line, from there to the end
 * @param error standard error of the growth
 */
record SoakTrend(SoakSample.Figure figure, double half, double growth, double error) {
  /** Growth of so many standard errors is no chance. */
  private static final double CERTAIN = 3;

  /** Of samples in the order of time, of which the first half is left out. */
  static SoakTrend of(SoakSample.Figure figure, List<SoakSample> samples) {
    List<SoakSample> second = secondHalf(samples);
    SimpleRegression line = new SimpleRegression();
    for (SoakSample sample : second) {
      line.addData(sample.seconds(), figure.of().applyAsDouble(sample));
    }
    double start = second.get(0).seconds();
    double duration = second.get(second.size() - 1).seconds() - start;
    return new SoakTrend(
        figure, line.predict(start), line.getSlope() * duration, line.getSlopeStdErr() * duration);
  }

  static List<SoakSample> secondHalf(List<SoakSample> samples) {
    double half = samples.get(samples.size() - 1).seconds() / 2;
    List<SoakSample> second = samples.stream().filter(sample -> sample.seconds() >= half).toList();
    if (second.size() < 3) {
      throw new IllegalStateException(
          second.size() + " samples in the second half show no trend: soak for longer");
    }
    return second;
  }

  /** Whether it grew beyond noise, and not by chance. */
  boolean isGrowing() {
    return growth > figure.noise() && growth > CERTAIN * error;
  }
}
