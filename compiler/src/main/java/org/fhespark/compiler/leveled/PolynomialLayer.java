package org.fhespark.compiler.leveled;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.fhespark.nativelib.LeveledActivation;
import org.fhespark.nativelib.LeveledActivation.Form;

/**
 * Polynomials of a layer's neurons, in place of a function: {@code f(offset + unit·u) ≈ middle +
 * half · a(u)}, where the polynomial a is in [-1, 1] over all of [-1, 1].
 *
 * @param polynomials a of each neuron
 * @param middles of each
 * @param halves of each
 * @param figures how well they do
 */
record PolynomialLayer(
    ChebyshevPolynomial[] polynomials, double[] middles, double[] halves, LeveledFigures figures) {
  /** Points of a curve. */
  private static final int POINTS = 161;

  /** Of the largest value: a polynomial of less is constant. */
  private static final double LEAST_HALF = 1e-9;

  /**
   * Fits them.
   *
   * @param arguments u of calibration rows
   */
  static PolynomialLayer fit(
      DenseChain.Activation activation,
      Form form,
      int degree,
      double[] offsets,
      double[] units,
      CalibrationRows arguments)
      throws NotLeveledException {
    SeriesFit fit = new SeriesFit(form, degree);
    double[] nodes = fit.nodes();
    int neurons = units.length;
    double[] values = values(activation, offsets, units, nodes);
    ChebyshevPolynomial[] polynomials = new ChebyshevPolynomial[neurons];
    double[] middles = new double[neurons];
    double[] halves = new double[neurons];
    double largest = Arrays.stream(values).map(Math::abs).max().orElseThrow();
    double[] errors = new double[neurons];
    double median = Arrays.stream(units).sorted().toArray()[neurons / 2];
    IntStream.range(0, neurons)
        .parallel()
        .forEach(
            i -> {
              double[] own = Arrays.copyOfRange(values, i * nodes.length, (i + 1) * nodes.length);
              ChebyshevPolynomial polynomial = fit.fit(own, arguments.fitted(i));
              for (int g = 0; g < nodes.length; g++) {
                errors[i] = Math.max(errors[i], Math.abs(polynomial.value(nodes[g]) - own[g]));
              }
              Interval bounds = polynomial.bounds();
              middles[i] = bounds.middle();
              halves[i] = bounds.half() > LEAST_HALF * largest ? bounds.half() : 1;
              polynomials[i] = polynomial.normalised(middles[i], halves[i]);
            });
    double largestError = Arrays.stream(errors).max().orElseThrow();
    PolynomialLayer layer = new PolynomialLayer(polynomials, middles, halves, null);
    return new PolynomialLayer(
        polynomials,
        middles,
        halves,
        new LeveledFigures(
            activation.name(),
            neurons,
            form,
            degree,
            median,
            seen(arguments),
            largestError / median,
            layer.error(activation, offsets, units, arguments.heldOut()),
            layer.curve(activation, offsets, units, arguments)));
  }

  /** The function at points of each neuron's range, {@code [neuron][point]}, one after another. */
  private static double[] values(
      DenseChain.Activation activation, double[] offsets, double[] units, double[] points)
      throws NotLeveledException {
    double[] arguments = new double[Math.multiplyExact(units.length, points.length)];
    for (int i = 0; i < units.length; i++) {
      for (int g = 0; g < points.length; g++) {
        arguments[i * points.length + g] = offsets[i] + units[i] * points[g];
      }
    }
    double[] values = activation.function().apply(arguments);
    for (double value : values) {
      if (!Double.isFinite(value)) {
        throw new NotLeveledException(
            "the function of layer '"
                + activation.name()
                + "' is not finite over all arguments that records can make");
      }
    }
    return values;
  }

  private static double seen(CalibrationRows arguments) {
    double largest = 0;
    for (double[][] rows : new double[][][] {arguments.fitted(), arguments.heldOut()}) {
      for (double[] row : rows) {
        for (double argument : row) {
          largest = Math.max(largest, Math.abs(argument));
        }
      }
    }
    return largest;
  }

  /** Root mean square error relative to the function's root mean square. */
  private double error(
      DenseChain.Activation activation, double[] offsets, double[] units, double[][] rows) {
    int neurons = units.length;
    double[] arguments = new double[Math.multiplyExact(rows.length, neurons)];
    for (int t = 0; t < rows.length; t++) {
      for (int i = 0; i < neurons; i++) {
        arguments[t * neurons + i] = offsets[i] + units[i] * rows[t][i];
      }
    }
    double[] exact = activation.function().apply(arguments);
    double square = 0;
    double magnitude = 0;
    for (int t = 0; t < rows.length; t++) {
      for (int i = 0; i < neurons; i++) {
        double found = middles[i] + halves[i] * polynomials[i].value(rows[t][i]);
        square += Math.pow(found - exact[t * neurons + i], 2);
        magnitude += Math.pow(exact[t * neurons + i], 2);
      }
    }
    return magnitude == 0 ? 0 : Math.sqrt(square / magnitude);
  }

  private LeveledFigures.Curve curve(
      DenseChain.Activation activation, double[] offsets, double[] units, CalibrationRows seen) {
    int typical =
        IntStream.range(0, units.length)
            .boxed()
            .sorted(Comparator.comparingDouble(i -> units[i]))
            .toList()
            .get(units.length / 2);
    double[] arguments = new double[POINTS];
    double[] found = new double[POINTS];
    for (int g = 0; g < POINTS; g++) {
      double u = 2.0 * g / (POINTS - 1) - 1;
      arguments[g] = offsets[typical] + units[typical] * u;
      found[g] = middles[typical] + halves[typical] * polynomials[typical].value(u);
    }
    long[] counts = new long[POINTS - 1];
    for (double[] row : seen.fitted()) {
      for (double u : row) {
        int part = (int) Math.floor((u + 1) / 2 * counts.length);
        counts[Math.max(0, Math.min(counts.length - 1, part))]++;
      }
    }
    return new LeveledFigures.Curve(
        arguments[0], arguments[POINTS - 1], activation.function().apply(arguments), found, counts);
  }

  /** As the circuit has them. */
  LeveledActivation activation() {
    LeveledFigures own = figures;
    int stride = own.degree() + 1;
    double[] coefficients = new double[polynomials.length * stride];
    double[] linear = new double[own.form() == Form.EVEN ? polynomials.length : 0];
    for (int i = 0; i < polynomials.length; i++) {
      System.arraycopy(polynomials[i].coefficients(), 0, coefficients, i * stride, stride);
      if (own.form() == Form.EVEN) {
        linear[i] = polynomials[i].linear();
      }
    }
    return new LeveledActivation(own.form(), own.degree(), coefficients, linear);
  }
}
