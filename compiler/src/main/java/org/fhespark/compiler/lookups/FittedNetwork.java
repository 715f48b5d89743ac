package org.fhespark.compiler.lookups;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A network whose functions are tables, lines and ranges. Atoms are numbered as the variables are:
 * the row's values, then what each table gives.
 *
 * @param network in float
 * @param layers in order
 * @param outputs of atoms
 * @param outputCentres the middle of each output's range
 * @param outputHalves half the range of each output, with head room
 * @param means of the atoms over the calibration rows
 * @param inputSquares means of the squares of a row's values over them
 */
record FittedNetwork(
    Network network,
    List<Layer> layers,
    Combination[] outputs,
    double[] outputCentres,
    double[] outputHalves,
    double[] means,
    double[] inputSquares) {

  /**
   * A fitted layer. With homogeneous functions, f(λx) = λf(x) for λ ≥ 0, each argument has a range
   * of its own, and the table is of arguments relative to it.
   *
   * @param name of the tensor it makes
   * @param arguments combinations of earlier atoms
   * @param units what 1 in the table's argument and result is worth, of each argument
   * @param fit of the function
   * @param firstAtom the first of what it makes
   */
  record Layer(String name, Combination[] arguments, double[] units, TableFit fit, int firstAtom) {
    /** What a whole turn is worth, of an argument. */
    double turn(int argument) {
      return 2 * fit.halfTurn() * units[argument];
    }

    /** What phase 0 stands for, of an argument. */
    double centre(int argument) {
      return fit.centre() * units[argument];
    }
  }

  /** Room beyond the largest value that calibration saw. */
  static final double HEAD_ROOM = 1.25;

  /** The same of outputs: one beyond its range comes out at the other end. */
  static final double OUTPUT_HEAD_ROOM = 2;

  /** The least unit of an argument, relative to the largest of its layer. */
  private static final double LEAST_UNIT = 1.0 / 8;

  private static final int TRIALS = 257;

  /**
   * Fits tables.
   *
   * @param rows calibration rows, {@code [row][inputs]}
   * @param deviation of what look-ups will read, in turns
   * @param margin of what is read beyond which noise may not take it, in turns
   */
  static FittedNetwork of(Network network, float[][] rows, double deviation, double margin) {
    Network.Trace trace = network.evaluate(rows);
    int inputs = network.inputs();
    List<Combination> expansions = new ArrayList<>();
    for (int i = 0; i < inputs; i++) {
      expansions.add(Combination.of(i));
    }
    Combination.Sum sum = new Combination.Sum(network.variables());
    List<Layer> layers = new ArrayList<>();
    double[] means = new double[network.variables()];
    double[] squares = new double[inputs];
    for (int i = 0; i < inputs; i++) {
      means[i] = mean(trace.variables()[i]);
      squares[i] = meanSquare(trace.variables()[i]);
    }
    for (int g = 0; g < network.layers().size(); g++) {
      Network.Layer layer = network.layers().get(g);
      float[][] seen = trace.arguments().get(g);
      int first = expansions.size();
      double[] units = units(layer, seen);
      TableFit fit = fit(layer, units, seen, deviation, margin);
      Combination[] arguments = new Combination[layer.arguments().length];
      for (int k = 0; k < arguments.length; k++) {
        arguments[k] = expand(sum, layer.arguments()[k], expansions);
      }
      for (int k = 0; k < arguments.length; k++) {
        sum.add(first + k, 1);
        sum.add(fit.slope(), arguments[k]);
        sum.add(fit.intercept() * units[k]);
        expansions.add(sum.take());
        means[first + k] =
            mean(trace.variables()[first + k])
                - fit.slope() * mean(seen[k])
                - fit.intercept() * units[k];
      }
      layers.add(new Layer(layer.name(), arguments, units, fit, first));
    }
    Combination[] outputs = new Combination[network.outputs().length];
    double[] centres = new double[outputs.length];
    double[] halves = new double[outputs.length];
    double largest = 0;
    for (int j = 0; j < outputs.length; j++) {
      outputs[j] = expand(sum, network.outputs()[j], expansions);
      double[] range = range(trace.outputs()[j]);
      centres[j] = (range[0] + range[1]) / 2;
      halves[j] = OUTPUT_HEAD_ROOM * (range[1] - range[0]) / 2;
      largest = Math.max(largest, Math.max(halves[j], Math.abs(centres[j])));
    }
    for (int j = 0; j < outputs.length; j++) {
      halves[j] = Math.max(halves[j], largest == 0 ? 1 : LEAST_UNIT * largest);
    }
    return new FittedNetwork(
        network, List.copyOf(layers), outputs, centres, halves, means, squares);
  }

  private static Combination expand(
      Combination.Sum sum, Combination combination, List<Combination> expansions) {
    sum.add(combination.constant());
    for (int i = 0; i < combination.variables().length; i++) {
      sum.add(combination.weights()[i], expansions.get(combination.variables()[i]));
    }
    return sum.take();
  }

  private static double mean(float[] values) {
    double total = 0;
    for (float value : values) {
      total += value;
    }
    return total / values.length;
  }

  private static double meanSquare(float[] values) {
    double total = 0;
    for (float value : values) {
      total += (double) value * value;
    }
    return total / values.length;
  }

  private static double[] range(float[] values) {
    double least = Double.POSITIVE_INFINITY;
    double most = Double.NEGATIVE_INFINITY;
    for (float value : values) {
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
    return new double[] {least, most};
  }

  /** The largest magnitude of each argument of a homogeneous function; ones for others. */
  private static double[] units(Network.Layer layer, float[][] seen) {
    double[] units = new double[seen.length];
    double largest = 0;
    for (int k = 0; k < units.length; k++) {
      double[] range = range(seen[k]);
      units[k] = Math.max(-range[0], range[1]);
      largest = Math.max(largest, units[k]);
    }
    if (!isHomogeneous(layer.function(), largest)) {
      Arrays.fill(units, 1);
      return units;
    }
    for (int k = 0; k < units.length; k++) {
      units[k] = Math.max(units[k], largest == 0 ? 1 : LEAST_UNIT * largest);
    }
    return units;
  }

  private static boolean isHomogeneous(ValueFunction function, double largest) {
    double[] arguments = new double[3 * TRIALS];
    for (int i = 0; i < TRIALS; i++) {
      double x = (2.0 * i / (TRIALS - 1) - 1) * (largest == 0 ? 1 : largest);
      arguments[i] = x;
      arguments[TRIALS + i] = x / 2;
      arguments[2 * TRIALS + i] = x / 64;
    }
    double[] values = function.apply(arguments);
    for (int i = 0; i < TRIALS; i++) {
      double tolerance = 1e-5 * Math.abs(values[i]) + Float.MIN_NORMAL;
      if (!(Math.abs(2 * values[TRIALS + i] - values[i]) <= tolerance)
          || !(Math.abs(64 * values[2 * TRIALS + i] - values[i]) <= tolerance)) {
        return false;
      }
    }
    return true;
  }

  private static TableFit fit(
      Network.Layer layer, double[] units, float[][] seen, double deviation, double margin) {
    double least = 0;
    double most = 0;
    float[][] relative = new float[seen.length][];
    for (int k = 0; k < seen.length; k++) {
      relative[k] = new float[seen[k].length];
      for (int t = 0; t < seen[k].length; t++) {
        relative[k][t] = (float) (seen[k][t] / units[k]);
      }
      double[] range = range(relative[k]);
      least = k == 0 ? range[0] : Math.min(least, range[0]);
      most = k == 0 ? range[1] : Math.max(most, range[1]);
    }
    double symmetric = Math.max(Math.max(-least, most) * HEAD_ROOM, Float.MIN_NORMAL);
    TableFit around = TableFit.of(layer.function(), 0, symmetric, relative, deviation, margin);
    double half = (most - least) / 2 * HEAD_ROOM;
    if (half < 0.9 * symmetric && half > 0) {
      TableFit shifted =
          TableFit.of(layer.function(), (least + most) / 2, half, relative, deviation, margin);
      return shifted.error() < around.error() ? shifted : around;
    }
    return around;
  }
}
