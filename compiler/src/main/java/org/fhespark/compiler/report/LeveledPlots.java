package org.fhespark.compiler.report;

import java.util.List;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.leveled.LeveledFigures;

/**
 * A module on encrypted numbers with its plots.
 *
 * @param module what the report says of it
 * @param layers its activations
 */
record LeveledPlots(CompileReport.LeveledModule module, List<Layer> layers) {
  /**
   * An activation.
   *
   * @param figures what the report says of it
   * @param plot of a typical neuron
   */
  record Layer(LeveledFigures figures, CurvePlot plot) {}

  static List<LeveledPlots> of(CompileReport report) {
    return report.leveled().stream()
        .map(
            module ->
                new LeveledPlots(
                    module,
                    module.layers().stream()
                        .map(layer -> new Layer(layer, CurvePlot.of(layer.curve())))
                        .toList()))
        .toList();
  }
}
