package org.fhespark.compiler.lookups;

import java.util.ArrayList;
import java.util.List;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.OnnxModel;

/**
 * What a region computes of a row: layers of functions of combinations. Variables are numbered: the
 * row's values first, then what each layer makes.
 *
 * @param inputs values of a row
 * @param layers in order
 * @param outputs the result
 * @param outputShape the output's axes without the batch axis
 */
public record Network(
    int inputs, List<Layer> layers, Combination[] outputs, List<Long> outputShape) {
  public Network {
    layers = List.copyOf(layers);
  }

  /**
   * Reads what a module's calls compute, and compares it with the float model.
   *
   * @param module its key
   * @param regions its calls, which share their weights
   * @param sample rows that they read
   * @throws InvalidInputException if a call computes something else than its operators look like
   */
  public static Network read(
      OnnxModel model, String module, List<LookupRegion> regions, RowSample sample) {
    Network network = NetworkReader.read(model, regions.get(0), sample.layout());
    NetworkCheck check = new NetworkCheck(model, module, network);
    regions.forEach(region -> check.requireAgreement(region, sample));
    return network;
  }

  /**
   * Makes a variable {@code function(argument)} of each argument.
   *
   * @param name of the tensor it makes, for reports
   * @param arguments combinations of earlier variables
   * @param function of single values
   */
  public record Layer(String name, Combination[] arguments, ValueFunction function) {}

  /**
   * What some rows make of a network.
   *
   * @param variables {@code [variable][row]}
   * @param arguments {@code [argument][row]} of each layer
   * @param outputs {@code [output][row]}
   */
  public record Trace(float[][] variables, List<float[][]> arguments, float[][] outputs) {}

  /** Number of look-ups. */
  int lookups() {
    return variables() - inputs;
  }

  /** Number of variables. */
  int variables() {
    return inputs + layers.stream().mapToInt(layer -> layer.arguments.length).sum();
  }

  /**
   * Computes rows in float.
   *
   * @param rows {@code [row][inputs]}
   */
  public Trace evaluate(float[][] rows) {
    int samples = rows.length;
    float[][] values = new float[variables()][];
    for (int i = 0; i < inputs; i++) {
      values[i] = new float[samples];
      for (int t = 0; t < samples; t++) {
        values[i][t] = rows[t][i];
      }
    }
    int next = inputs;
    List<float[][]> all = new ArrayList<>();
    for (Layer layer : layers) {
      float[][] arguments = evaluate(layer.arguments, values, samples);
      float[] together = new float[Math.multiplyExact(arguments.length, samples)];
      for (int k = 0; k < arguments.length; k++) {
        System.arraycopy(arguments[k], 0, together, k * samples, samples);
      }
      float[] results = layer.function.apply(together);
      for (int k = 0; k < arguments.length; k++) {
        values[next] = new float[samples];
        System.arraycopy(results, k * samples, values[next++], 0, samples);
      }
      all.add(arguments);
    }
    return new Trace(values, all, evaluate(outputs, values, samples));
  }

  private static float[][] evaluate(Combination[] combinations, float[][] values, int samples) {
    float[][] results = new float[combinations.length][];
    for (int k = 0; k < results.length; k++) {
      results[k] = combinations[k].evaluate(values, samples);
    }
    return results;
  }
}
