package org.fhespark.compiler.leveled;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.fhespark.nativelib.LeveledActivation;
import org.fhespark.nativelib.LeveledActivation.Form;
import org.fhespark.nativelib.LeveledLayer;

/**
 * The first layers of a chain as integers and polynomials, with what is proven of their values, and
 * the next linear layer still in float. Immutable: chains that begin alike share their beginning.
 */
final class PartialChain {
  /** What an activation's argument and an output are at most, so that noise does not reach 1. */
  static final double MOST = 1 - 1.0 / 64;

  /** The least unit of a value, relative to the largest of its layer. */
  private static final double LEAST_UNIT = 1e-6;

  /** What a unit that is too small by its integers grows by beyond what they need. */
  private static final double GROWTH = 1.0005;

  private final DenseChain chain;
  private final double radius;
  private final List<LeveledLayer> layers;
  private final List<LeveledActivation> activations;
  private final List<LeveledFigures> figures;

  /** Null before the first layer; nothing needs them to tell how exact a chain is. */
  private final Once<ForwardBounds> bounds;

  /** What the next layer reads: normalised rows, or normalised activations. */
  private final CalibrationRows values;

  /** The next layer, of those values. */
  private final double[][] weights;

  private final double[] biases;

  /** The next layer in integers, if it is not the first. */
  private final Once<LaterRows> laterRows = new Once<>(this::laterRows);

  /** The same in ranges, for polynomials of each form. */
  private final Map<Form, Linear> linears = new EnumMap<>(Form.class);

  private PartialChain(
      DenseChain chain,
      double radius,
      List<LeveledLayer> layers,
      List<LeveledActivation> activations,
      List<LeveledFigures> figures,
      Once<ForwardBounds> bounds,
      CalibrationRows values,
      double[][] weights,
      double[] biases) {
    this.chain = chain;
    this.radius = radius;
    this.layers = List.copyOf(layers);
    this.activations = List.copyOf(activations);
    this.figures = List.copyOf(figures);
    this.bounds = bounds;
    this.values = values;
    this.weights = weights;
    this.biases = biases;
  }

  /**
   * Nothing yet.
   *
   * @param rows of calibration, {@code [row][inputs]}
   */
  static PartialChain start(DenseChain chain, RecordBall ball, float[][] rows) {
    double[][] normalised = Arrays.stream(rows).map(ball::normalise).toArray(double[][]::new);
    double[] spread = new double[chain.inputs()];
    double[] center = new double[chain.inputs()];
    for (int j = 0; j < spread.length; j++) {
      spread[j] = ball.spread()[j];
      center[j] = ball.center()[j];
    }
    return new PartialChain(
        chain,
        ball.provenRadius(),
        List.of(),
        List.of(),
        List.of(),
        null,
        CalibrationRows.of(normalised),
        scaled(chain.linear().get(0), spread),
        moved(chain.linear().get(0), center));
  }

  private static double[][] scaled(DenseLayer layer, double[] units) {
    double[][] scaled = new double[layer.outputs()][units.length];
    for (int i = 0; i < scaled.length; i++) {
      for (int j = 0; j < units.length; j++) {
        scaled[i][j] = layer.weights()[i][j] * units[j];
      }
    }
    return scaled;
  }

  private static double[] moved(DenseLayer layer, double[] offsets) {
    double[] moved = layer.biases().clone();
    for (int i = 0; i < moved.length; i++) {
      for (int j = 0; j < offsets.length; j++) {
        moved[i] += layer.weights()[i][j] * offsets[j];
      }
    }
    return moved;
  }

  /**
   * Whether the next function can have a form, over the range that it has there.
   *
   * @return false for EVEN if no multiple of the argument makes it even
   */
  boolean allows(Form form) {
    if (form == Form.GENERAL) {
      return true;
    }
    Linear linear = linear(form);
    double largest = Arrays.stream(linear.units).max().orElseThrow();
    return EvenFunctions.isEvenButForALine(activation().function(), largest);
  }

  /** Sum of the logarithms of the next layer's ranges: the less, the tighter. */
  double tightness() {
    return Arrays.stream(ForwardBounds.first(radius, weights, biases).ranges())
        .mapToDouble(range -> Math.log(Math.max(range.half(), Double.MIN_NORMAL)))
        .sum();
  }

  private DenseChain.Activation activation() {
    return chain.activations().get(activations.size());
  }

  /** A linear layer in integers: its value z is {@code offset + unit · u}, of each neuron. */
  private record Linear(
      LeveledLayer layer, double[] offsets, double[] units, ForwardBounds.Layer bounds) {}

  /** Ranges of functions that are even but for a line have their middle at zero. */
  private Linear linear(Form form) {
    boolean isCentered = form == Form.GENERAL;
    return linears.computeIfAbsent(
        form, unused -> bounds == null ? firstLinear(isCentered) : laterLinear(isCentered));
  }

  /** Offsets and units for ranges of values. */
  private static double[][] offsetsAndUnits(Interval[] ranges, boolean isCentered) {
    double[] offsets = new double[ranges.length];
    double[] units = new double[ranges.length];
    double largest = Double.MIN_NORMAL;
    for (int i = 0; i < ranges.length; i++) {
      offsets[i] = isCentered ? ranges[i].middle() : 0;
      units[i] = ranges[i].reach(offsets[i]) / MOST;
      largest = Math.max(largest, units[i]);
    }
    for (int i = 0; i < units.length; i++) {
      units[i] = Math.max(units[i], LEAST_UNIT * largest);
    }
    return new double[][] {offsets, units};
  }

  /**
   * The first layer has one multiplier of all rows. A unit is as large as the range of its values
   * demands for the integers that it has in the end.
   */
  private Linear firstLinear(boolean isCentered) {
    double[][] chosen =
        offsetsAndUnits(ForwardBounds.first(radius, weights, biases).ranges(), isCentered);
    double[] units = chosen[1];
    double multiplier = FirstMultiplier.of(weights, units, radius);
    CompensatedRounding rounding = CompensatedRounding.of(values.fitted());
    while (true) {
      double[] steps = new double[units.length];
      for (int i = 0; i < steps.length; i++) {
        units[i] = Math.max(units[i], FirstMultiplier.leastUnit(weights[i], multiplier));
        steps[i] = multiplier * units[i];
      }
      IntegerRows rows = rounding.round(weights, steps);
      ForwardBounds.Layer own = ForwardBounds.first(radius, rows.matrix(), biases);
      boolean isWithin = true;
      for (int i = 0; i < units.length; i++) {
        double reach = own.ranges()[i].reach(chosen[0][i]) / MOST;
        if (reach > units[i]) {
          units[i] = reach * GROWTH;
          isWithin = false;
        }
      }
      if (isWithin) {
        double[] multipliers = new double[units.length];
        Arrays.fill(multipliers, multiplier);
        return linear(rows, multipliers, biases, chosen[0], units, own);
      }
    }
  }

  /**
   * The integers of a later layer.
   *
   * @param biases that keep the mean which the layer has in float
   */
  private record LaterRows(IntegerRows rows, double[][] matrix, double[] biases) {}

  /** A later layer has a step of each row. */
  private LaterRows laterRows() {
    double[] steps = new double[weights.length];
    for (int i = 0; i < steps.length; i++) {
      double largest = Arrays.stream(weights[i]).map(Math::abs).max().orElseThrow();
      steps[i] = largest == 0 ? 1 : largest / IntegerRows.LARGEST;
    }
    IntegerRows rows = CompensatedRounding.of(values.fitted()).round(weights, steps);
    double[][] matrix = rows.matrix();
    double[] means = values.means();
    double[] corrected = biases.clone();
    for (int i = 0; i < corrected.length; i++) {
      for (int k = 0; k < means.length; k++) {
        corrected[i] += (weights[i][k] - matrix[i][k]) * means[k];
      }
    }
    return new LaterRows(rows, matrix, corrected);
  }

  private Linear laterLinear(boolean isCentered) {
    LaterRows later = laterRows.get();
    ForwardBounds.Layer own = bounds.get().then(later.matrix, later.biases);
    double[][] chosen = offsetsAndUnits(own.ranges(), isCentered);
    double[] multipliers = new double[weights.length];
    for (int i = 0; i < multipliers.length; i++) {
      multipliers[i] = later.rows.steps()[i] / chosen[1][i];
    }
    return linear(later.rows, multipliers, later.biases, chosen[0], chosen[1], own);
  }

  private static Linear linear(
      IntegerRows rows,
      double[] multipliers,
      double[] constants,
      double[] offsets,
      double[] units,
      ForwardBounds.Layer own) {
    double[] biases = new double[units.length];
    for (int i = 0; i < units.length; i++) {
      biases[i] = (constants[i] - offsets[i]) / units[i];
    }
    return new Linear(
        new LeveledLayer(units.length, rows.integers(), multipliers, biases),
        offsets,
        units,
        own.normalised(offsets, units));
  }

  /**
   * With the next linear layer and polynomials after it.
   *
   * @param degree of T_k
   * @throws NotLeveledException if the function is not finite over the range
   */
  PartialChain then(Form form, int degree) throws NotLeveledException {
    Linear linear = linear(form);
    CalibrationRows arguments = values.affine(linear.bounds.matrix(), linear.layer.biases());
    PolynomialLayer layer =
        PolynomialLayer.fit(activation(), form, degree, linear.offsets, linear.units, arguments);
    double[][] next = scaled(chain.linear().get(layers.size() + 1), layer.halves());
    return new PartialChain(
        chain,
        radius,
        append(layers, linear.layer),
        append(activations, layer.activation()),
        append(figures, layer.figures()),
        new Once<>(() -> linear.bounds.activated(layer.polynomials())),
        arguments.map(layer.polynomials()),
        next,
        moved(chain.linear().get(layers.size() + 1), layer.middles()));
  }

  private static <T> List<T> append(List<T> list, T last) {
    List<T> longer = new ArrayList<>(list);
    longer.add(last);
    return longer;
  }

  /**
   * With the last linear layer.
   *
   * @param layers all
   * @param activations between them
   * @param outputRanges what an output of 1 is worth
   * @param heldOut outputs of the rows that are held out, in the module's units
   */
  record Whole(
      List<LeveledLayer> layers,
      List<LeveledActivation> activations,
      List<LeveledFigures> figures,
      double[] outputRanges,
      double[][] heldOut) {}

  /** Outputs of the rows that are held out, in the module's units, if all activations are there. */
  double[][] heldOut() {
    LaterRows last = laterRows.get();
    return values.heldOutAffine(last.matrix, last.biases);
  }

  /** The whole chain, in that case. */
  Whole finish() {
    Linear last = laterLinear(false);
    return new Whole(append(layers, last.layer), activations, figures, last.units, heldOut());
  }
}
