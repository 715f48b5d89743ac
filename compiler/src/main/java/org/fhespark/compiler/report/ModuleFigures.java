package org.fhespark.compiler.report;

import java.util.List;
import java.util.Optional;
import org.fhespark.compiler.CompileReport;

/**
 * A module with its plots.
 *
 * @param module what the report says of it
 * @param weightErrors relative RMS errors of its outputs' weights
 * @param inputs the tensors that it reads
 */
record ModuleFigures(CompileReport.Module module, HistogramPlot weightErrors, List<Input> inputs) {
  /**
   * The plots of an input.
   *
   * @param input what the report says of it
   * @param range the largest magnitudes of rows
   * @param errors estimates of rows' errors; null if there are none
   */
  record Input(CompileReport.CalibratedInput input, HistogramPlot range, HistogramPlot errors) {}

  static ModuleFigures of(CompileReport.Module module) {
    return new ModuleFigures(
        module,
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
