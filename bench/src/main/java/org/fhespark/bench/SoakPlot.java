package org.fhespark.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Every figure of a soak over time, as a share of what it is at half time. */
final class SoakPlot {
  private static final double MINUTE = 60;

  private SoakPlot() {}

  static void write(List<SoakTrend> trends, List<SoakSample> samples, Path png) throws IOException {
    XYChart chart =
        new XYChartBuilder()
            .width(1000)
            .height(550)
            .title("Repeated encrypted scoring in one JVM")
            .xAxisTitle("minutes")
            .yAxisTitle("share of the value at half time")
            .build();
    chart.getStyler().setYAxisMin(0.0);
    double[] minutes = samples.stream().mapToDouble(sample -> sample.seconds() / MINUTE).toArray();
    for (SoakTrend trend : trends) {
      double scale = Math.max(trend.half(), trend.figure().noise());
      double[] shares =
          samples.stream()
              .mapToDouble(sample -> trend.figure().of().applyAsDouble(sample) / scale)
              .toArray();
      chart.addSeries(trend.figure().name(), minutes, shares).setMarker(SeriesMarkers.NONE);
    }
    BitmapEncoder.saveBitmap(chart, png.toString(), BitmapEncoder.BitmapFormat.PNG);
  }
}
