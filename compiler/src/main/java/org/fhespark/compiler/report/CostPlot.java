package org.fhespark.compiler.report;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.parameters.Cost;

/**
 * What a record costs in each circuit, as stacked bars.
 *
 * @param rows one a circuit, top to bottom
 * @param total of all circuits and calls
 */
record CostPlot(List<Row> rows, Cost total) {
  /** Length of the longest bar. */
  static final int WIDTH = 1000;

  /**
   * A circuit.
   *
   * @param modules that it computes
   * @param calls how often a record goes through it
   * @param cost of a record in all calls
   * @param server length of the server's part; the client's and the wire's come after it
   */
  record Row(
      String circuit,
      List<String> modules,
      int calls,
      Cost cost,
      double server,
      double client,
      double wire) {}

  static CostPlot of(CompileReport report) {
    Map<String, CompileReport.Module> circuits = new LinkedHashMap<>();
    report.modules().forEach(module -> circuits.putIfAbsent(module.circuit(), module));
    List<Cost> costs = circuits.values().stream().map(CostPlot::ofAllCalls).toList();
    double scale = WIDTH / costs.stream().mapToDouble(Cost::total).max().orElse(1);
    List<Row> rows =
        circuits.values().stream()
            .map(
                module -> {
                  Cost cost = ofAllCalls(module);
                  return new Row(
                      module.circuit(),
                      report.modules().stream()
                          .filter(other -> other.circuit().equals(module.circuit()))
                          .map(CompileReport.Module::module)
                          .toList(),
                      module.stages().size(),
                      cost,
                      cost.server() * scale,
                      cost.client() * scale,
                      cost.wire() * scale);
                })
            .toList();
    return new CostPlot(
        rows,
        new Cost(
            costs.stream().mapToDouble(Cost::server).sum(),
            costs.stream().mapToDouble(Cost::client).sum(),
            costs.stream().mapToDouble(Cost::wire).sum()));
  }

  private static Cost ofAllCalls(CompileReport.Module module) {
    return module.nanosecondsPerRecord().times(module.stages().size());
  }
}
