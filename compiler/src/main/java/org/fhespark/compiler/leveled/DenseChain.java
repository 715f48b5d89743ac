package org.fhespark.compiler.leveled;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.fhespark.compiler.lookups.Combination;
import org.fhespark.compiler.lookups.Network;
import org.fhespark.compiler.lookups.ValueFunction;

/**
 * A network in which each layer reads the layer before and nothing else.
 *
 * @param inputs values of a row
 * @param linear affine maps, in order
 * @param activations between them, one less
 * @param outputShape the output's axes without the batch axis
 */
record DenseChain(
    int inputs, List<DenseLayer> linear, List<Activation> activations, List<Long> outputShape) {
  /** Weights of a circuit at most; a record costs a product of each. */
  private static final long MOST_WEIGHTS = 1L << 26;

  /** Of a circuit at most: see {@code native/crates/fhe-core/src/parameters.rs}. */
  private static final int MOST_INPUTS = 65_000;

  DenseChain {
    linear = List.copyOf(linear);
    activations = List.copyOf(activations);
  }

  /**
   * A function of single values.
   *
   * @param name of the tensor it makes
   */
  record Activation(String name, ValueFunction function) {}

  /** The width of each layer, inputs and outputs included. */
  int[] widths() {
    return IntStream.concat(IntStream.of(inputs), linear.stream().mapToInt(DenseLayer::outputs))
        .toArray();
  }

  /**
   * Reads a network as a chain.
   *
   * @throws NotLeveledException if a layer reads more than the layer before, or there are too many
   *     weights
   */
  static DenseChain of(Network network) throws NotLeveledException {
    requireFewWeights(network);
    List<DenseLayer> linear = new ArrayList<>();
    List<Activation> activations = new ArrayList<>();
    int first = 0;
    int end = network.inputs();
    for (Network.Layer layer : network.layers()) {
      linear.add(dense("layer '" + layer.name() + "'", layer.arguments(), first, end));
      activations.add(new Activation(layer.name(), layer.function()));
      first = end;
      end += layer.arguments().length;
    }
    linear.add(dense("its output", network.outputs(), first, end));
    return new DenseChain(network.inputs(), linear, activations, network.outputShape());
  }

  private static void requireFewWeights(Network network) throws NotLeveledException {
    if (network.inputs() > MOST_INPUTS) {
      throw new NotLeveledException(
          "it reads "
              + network.inputs()
              + " values a row, more than the "
              + MOST_INPUTS
              + " of a leveled circuit");
    }
    long weights = 0;
    int inputs = network.inputs();
    for (Network.Layer layer : network.layers()) {
      weights += (long) inputs * layer.arguments().length;
      inputs = layer.arguments().length;
    }
    weights += (long) inputs * network.outputs().length;
    if (weights > MOST_WEIGHTS) {
      throw new NotLeveledException(
          "it has "
              + weights
              + " weights as dense layers, more than the "
              + MOST_WEIGHTS
              + " of a leveled circuit");
    }
  }

  /** Combinations of the variables from {@code first} to {@code end}, as a matrix. */
  private static DenseLayer dense(String name, Combination[] combinations, int first, int end)
      throws NotLeveledException {
    float[][] weights = new float[combinations.length][end - first];
    double[] biases = new double[combinations.length];
    for (int i = 0; i < combinations.length; i++) {
      Combination combination = combinations[i];
      for (int k = 0; k < combination.variables().length; k++) {
        int variable = combination.variables()[k];
        if (variable < first) {
          throw new NotLeveledException(
              name
                  + " also reads values from before the layer before it, by a way past it or a maximum");
        }
        weights[i][variable - first] = (float) combination.weights()[k];
      }
      biases[i] = combination.constant();
    }
    return new DenseLayer(weights, biases);
  }
}
