package org.fhespark.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;

/** Time a record over the number of records. */
final class ScalePlot {
  private ScalePlot() {}

  static void write(Map<String, List<ScaleBench.Row>> rows, Path png) throws IOException {
    XYChart chart =
        new XYChartBuilder()
            .width(800)
            .height(450)
            .title("Encrypted scoring: time a record")
            .xAxisTitle("records")
            .yAxisTitle("ns a record")
            .build();
    chart.getStyler().setXAxisLogarithmic(true).setYAxisMin(0.0);
    rows.forEach(
        (spark, ofSpark) ->
            chart.addSeries(
                spark,
                ofSpark.stream().mapToDouble(row -> row.result().records()).toArray(),
                ofSpark.stream().mapToDouble(ScaleBench.Row::nanosPerRecord).toArray()));
    BitmapEncoder.saveBitmap(chart, png.toString(), BitmapEncoder.BitmapFormat.PNG);
  }
}
