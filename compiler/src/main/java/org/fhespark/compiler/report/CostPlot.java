package org.fhespark.compiler.report;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.parameters.Cost;

/**
 * What a record costs in each circuit, as stacked bars in pixels of a drawing.
 *
 * @param rows one a circuit, top to bottom
 * @param height of the drawing
 * @param total of all circuits and calls
 */
record CostPlot(List<Row> rows, int height, Cost total) {
  static final int WIDTH = 1100;
  static final int LEFT = 420;
  private static final int RIGHT = 1000;
  private static final int ROW_HEIGHT = 22;

  /**
   * A circuit.
   *
   * @param calls how often a record goes through it
   * @param cost of a record in all calls
   * @param labelX where the sum is written
   */
  record Row(
      String circuit,
      int calls,
      Cost cost,
      int y,
      double server,
      double client,
      double wire,
      double labelX) {}

  static CostPlot of(CompileReport report) {
    Map<String, CompileReport.Module> circuits = new LinkedHashMap<>();
    report.modules().forEach(module -> circuits.putIfAbsent(module.circuit(), module));
    double most = 0;
    Cost total = new Cost(0, 0, 0);
    for (CompileReport.Module module : circuits.values()) {
      Cost cost = ofAllCalls(module);
      most = Math.max(most, cost.total());
      total =
          new Cost(
              total.server() + cost.server(),
              total.client() + cost.client(),
              total.wire() + cost.wire());
    }
    double scale = (RIGHT - LEFT) / most;
    List<Row> rows = new ArrayList<>();
    for (CompileReport.Module module : circuits.values()) {
      Cost cost = ofAllCalls(module);
      rows.add(
          new Row(
              module.circuit(),
              module.stages().size(),
              cost,
              rows.size() * ROW_HEIGHT,
              cost.server() * scale,
              cost.client() * scale,
              cost.wire() * scale,
              LEFT + cost.total() * scale + 6));
    }
    return new CostPlot(rows, rows.size() * ROW_HEIGHT, total);
  }

  private static Cost ofAllCalls(CompileReport.Module module) {
    return module.nanosecondsPerRecord().times(module.stages().size());
  }
}
