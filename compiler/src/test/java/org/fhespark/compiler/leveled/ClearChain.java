package org.fhespark.compiler.leveled;

import java.util.ArrayList;
import java.util.List;
import org.fhespark.nativelib.LeveledActivation;
import org.fhespark.nativelib.LeveledActivation.Form;
import org.fhespark.nativelib.LeveledLayer;

/** What the layers and activations of a circuit compute, read literally. */
final class ClearChain {
  private ClearChain() {}

  /**
   * All that the linear layers make of a normalised record: arguments of activations, and outputs
   * at the end.
   */
  static List<double[]> values(
      List<LeveledLayer> layers, List<LeveledActivation> activations, double[] record) {
    List<double[]> made = new ArrayList<>();
    double[] values = record;
    for (int g = 0; g < layers.size(); g++) {
      values = linear(layers.get(g), values);
      made.add(values);
      if (g < activations.size()) {
        values = activation(activations.get(g), values);
      }
    }
    return made;
  }

  private static double[] linear(LeveledLayer layer, double[] values) {
    double[] results = new double[layer.outputs()];
    for (int i = 0; i < results.length; i++) {
      double sum = 0;
      for (int j = 0; j < values.length; j++) {
        sum += layer.weights()[i * values.length + j] * values[j];
      }
      results[i] = layer.multipliers()[i] * sum + layer.biases()[i];
    }
    return results;
  }

  private static double[] activation(LeveledActivation activation, double[] values) {
    double[] results = new double[values.length];
    int stride = activation.degree() + 1;
    for (int i = 0; i < results.length; i++) {
      boolean isEven = activation.form() == Form.EVEN;
      double t = isEven ? 2 * values[i] * values[i] - 1 : values[i];
      double before = 1;
      double current = t;
      double sum = activation.coefficients()[i * stride];
      for (int k = 1; k < stride; k++) {
        sum += activation.coefficients()[i * stride + k] * current;
        double next = 2 * t * current - before;
        before = current;
        current = next;
      }
      results[i] = isEven ? sum + activation.linear()[i] * values[i] : sum;
    }
    return results;
  }
}
