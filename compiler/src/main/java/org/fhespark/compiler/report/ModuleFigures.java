package org.fhespark.compiler.report;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.fhespark.compiler.CompileReport;

/**
 * A module with its plots.
 *
 * @param module what the report says of it
 * @param sharing how many modules its circuit computes
 * @param weightErrors relative RMS errors of its outputs' weights
 * @param inputs the tensors that it reads
 */
record ModuleFigures(
    CompileReport.Module module, int sharing, HistogramPlot weightErrors, List<Input> inputs) {
  /**
   * The plots of an input.
   *
   * @param input what the report says of it
   * @param range the largest magnitudes of rows
   * @param errors estimates of rows' errors; null if there are none
   */
  record Input(CompileReport.CalibratedInput input, HistogramPlot range, HistogramPlot errors) {}

  static List<ModuleFigures> of(CompileReport report) {
    Map<String, Long> sharing =
        report.modules().stream()
            .collect(Collectors.groupingBy(CompileReport.Module::circuit, Collectors.counting()));
    return report.modules().stream()
        .map(module -> of(module, sharing.get(module.circuit()).intValue()))
        .toList();
  }

  private static ModuleFigures of(CompileReport.Module module, int sharing) {
    return new ModuleFigures(
        module,
        sharing,
        HistogramPlot.of(module.weightErrors()),
        module.inputs().stream()
            .map(
                input ->
                    new Input(
                        input,
                        HistogramPlot.of(input.rowMaxima()),
                        Optional.ofNullable(input.estimatedErrors())
                            .map(HistogramPlot::of)
                            .orElse(null)))
            .toList());
  }
}
