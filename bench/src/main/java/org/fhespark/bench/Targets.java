package org.fhespark.bench;

import java.io.PrintStream;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * The figures to reach, and whether a run reached them; both to two decimals, as they are printed.
 */
final class Targets {
  private static final LayerShape SQUARE = new LayerShape(768, 768);
  private static final LayerShape WIDE = new LayerShape(768, 3072);
  private static final int WEIGHT_BITS = 8;

  private final List<LayerMeasurement> layers;
  private final PrintStream out;

  private Targets(List<LayerMeasurement> layers, PrintStream out) {
    this.layers = layers;
    this.out = out;
  }

  /** Prints a line for each target that the run measured. */
  static void print(LayerReport report, PrintStream out) {
    Targets targets = new Targets(report.layers(), out);
    for (LayerShape shape : List.of(SQUARE, WIDE)) {
      targets.atLeast(0.6, "avx512-vnni", "x ORT fp32", shape, 4096, l -> l.speedToClear());
      targets.atLeast(2.5, "amx", "x ORT fp32", shape, 4096, l -> l.speedToClear());
      targets.atLeast(1.8, "amx", "x ORT fp32", shape, 2048, l -> l.speedToClear());
      targets.atMost(2.5, "encrypt ns/value", shape, l -> l.encryptNanosPerValue());
      targets.atMost(2.5, "decrypt ns/value", shape, l -> l.decryptNanosPerValue());
      targets.atMost(5.1, "B/value up", shape, l -> l.bytesUpPerValue());
      targets.atMost(5.0, "B/value down", shape, l -> l.bytesDownPerValue());
      targets.atLeast(1e3, "", "x TenSEAL", shape, 4096, l -> orNaN(l.speedToTenseal()));
    }
    String concrete = "x concrete-ml-extensions";
    targets.atLeast(1e2, "", concrete, SQUARE, 1, l -> orNaN(l.speedToConcrete()));
    targets.atLeast(1e5, "", concrete, SQUARE, 2048, l -> orNaN(l.speedToConcrete()));
  }

  /**
   * @param kernel the start of its name
   */
  private void atLeast(
      double target,
      String kernel,
      String what,
      LayerShape shape,
      int records,
      ToDoubleFunction<LayerMeasurement> figure) {
    for (LayerMeasurement layer : layers) {
      if (layer.kernel().startsWith(kernel) && isOf(layer, shape, records)) {
        double value = figure.applyAsDouble(layer);
        line(layer, what, value, rounded(value) >= target, "at least", target);
      }
    }
  }

  private void atMost(
      double target, String what, LayerShape shape, ToDoubleFunction<LayerMeasurement> figure) {
    for (LayerMeasurement layer : layers) {
      if (isOf(layer, shape, 4096)) {
        double value = figure.applyAsDouble(layer);
        line(layer, what, value, rounded(value) <= target, "at most", target);
      }
    }
  }

  private static boolean isOf(LayerMeasurement layer, LayerShape shape, int records) {
    return layer.shape().equals(shape)
        && layer.records() == records
        && layer.ahead() == null
        && layer.weightBits() == WEIGHT_BITS;
  }

  private void line(
      LayerMeasurement layer,
      String what,
      double value,
      boolean isMet,
      String bound,
      double target) {
    if (!Double.isNaN(value)) {
      out.printf(
          "- %s: %s, T = %d, %s: %,.2f %s, target %s %,.1f%n",
          isMet ? "met" : "MISSED",
          layer.shape(),
          layer.records(),
          layer.kernel(),
          value,
          what,
          bound,
          target);
    }
  }

  private static double rounded(double value) {
    return Math.rint(value * 100) / 100;
  }

  private static double orNaN(Double value) {
    return value == null ? Double.NaN : value;
  }
}
