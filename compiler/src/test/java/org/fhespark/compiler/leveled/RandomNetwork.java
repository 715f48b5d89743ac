package org.fhespark.compiler.leveled;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.fhespark.compiler.lookups.Combination;
import org.fhespark.compiler.lookups.Network;
import org.fhespark.compiler.lookups.ValueFunction;

/** Networks of random weights, and rows of random values that depend on each other. */
final class RandomNetwork {
  static final DoubleUnaryOperator RELU = x -> Math.max(x, 0);
  static final DoubleUnaryOperator SILU = x -> x / (1 + Math.exp(-x));
  static final DoubleUnaryOperator SIGMOID = x -> 1 / (1 + Math.exp(-x));

  private RandomNetwork() {}

  static ValueFunction function(DoubleUnaryOperator function) {
    return arguments -> {
      float[] results = new float[arguments.length];
      for (int i = 0; i < results.length; i++) {
        results[i] = (float) function.applyAsDouble(arguments[i]);
      }
      return results;
    };
  }

  /**
   * A chain.
   *
   * @param widths inputs, neurons of each layer, outputs
   */
  static Network chain(long seed, DoubleUnaryOperator activation, int... widths) {
    Random random = new Random(seed);
    List<Network.Layer> layers = new ArrayList<>();
    int first = 0;
    for (int g = 1; g + 1 < widths.length; g++) {
      layers.add(
          new Network.Layer(
              "layer" + g,
              combinations(random, first, widths[g - 1], widths[g]),
              function(activation)));
      first += widths[g - 1];
    }
    int last = widths.length - 1;
    return new Network(
        widths[0],
        layers,
        combinations(random, first, widths[last - 1], widths[last]),
        List.of((long) widths[last]));
  }

  static Combination[] combinations(Random random, int first, int width, int count) {
    Combination[] made = new Combination[count];
    for (int i = 0; i < count; i++) {
      int[] variables = new int[width];
      double[] weights = new double[width];
      for (int k = 0; k < width; k++) {
        variables[k] = first + k;
        weights[k] = random.nextGaussian() / Math.sqrt(width);
      }
      made[i] = new Combination(variables, weights, random.nextGaussian() / 4);
    }
    return made;
  }

  /** Rows that vary most along a few directions, each value on a scale of its own. */
  static float[][] rows(long seed, int count, int width) {
    Random random = new Random(seed);
    int directions = Math.max(1, width / 4);
    double[][] along = new double[directions][width];
    for (double[] direction : along) {
      for (int j = 0; j < width; j++) {
        direction[j] = random.nextGaussian();
      }
    }
    float[][] rows = new float[count][width];
    for (float[] row : rows) {
      for (double[] direction : along) {
        double length = random.nextGaussian();
        for (int j = 0; j < width; j++) {
          row[j] += (float) (length * direction[j]);
        }
      }
      for (int j = 0; j < width; j++) {
        row[j] = (float) ((row[j] + 0.3 * random.nextGaussian() + 1) * (1 + j % 3) / 3);
      }
    }
    return rows;
  }
}
