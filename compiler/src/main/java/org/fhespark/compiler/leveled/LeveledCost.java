package org.fhespark.compiler.leveled;

import java.util.List;
import org.fhespark.nativelib.LeveledActivation.Form;
import org.fhespark.nativelib.LeveledParameters;

/**
 * What the evaluation of a block costs on one core: number-theoretic transforms, and products of
 * coefficients with weights. A block costs the same however full it is.
 */
final class LeveledCost {
  /**
   * Nanoseconds of a transform of 8192 coefficients modulo one prime, with what is done by them.
   * This and the next are fitted to seven circuits on one core of an AMD EPYC with AVX2, of which
   * they miss none by more than a quarter.
   */
  private static final double TRANSFORM_NANOSECONDS = 13_000;

  private static final double TRANSFORM_SIZE = 8192;

  /** Nanoseconds of a coefficient times a weight, added up. */
  private static final double PRODUCT_NANOSECONDS = 0.18;

  private final int[] widths;
  private final List<ActivationShape> activations;
  private double transforms;
  private double products;

  private LeveledCost(int[] widths, List<ActivationShape> activations) {
    this.widths = widths;
    this.activations = activations;
  }

  /**
   * Milliseconds of a block.
   *
   * @param widths of the layers, inputs and outputs included
   * @param activations between linear layers
   */
  static double milliseconds(
      LeveledParameters parameters, int[] widths, List<ActivationShape> activations) {
    LeveledCost cost = new LeveledCost(widths, activations);
    cost.count(parameters.levels());
    int size = parameters.polynomialSize();
    double transform =
        TRANSFORM_NANOSECONDS
            * (size * Math.log(size))
            / (TRANSFORM_SIZE * Math.log(TRANSFORM_SIZE));
    return (cost.transforms * transform + cost.products * size * PRODUCT_NANOSECONDS) / 1e6;
  }

  private void count(int levels) {
    int level = levels;
    for (int g = 0; g + 1 < widths.length; g++) {
      int outputs = widths[g + 1];
      products += 2.0 * level * widths[g] * outputs;
      if (g > 0) {
        transforms += outputs * rescale(level);
        level--;
      }
      if (g < activations.size()) {
        transforms += outputs * activation(activations.get(g), level);
        level -= activations.get(g).levels();
      }
    }
  }

  /** Both parts lose a prime. */
  private static double rescale(int level) {
    return 2.0 * level;
  }

  /** A product of ciphertexts: its third part in digits, to all primes, and both parts back. */
  private static double multiplication(int level) {
    return level + (double) level * level + 2 + 4.0 * (level - 1);
  }

  /** Powers T_2, T_4, …, leaves of degree 1, and a product for each pair of parts. */
  private static double activation(ActivationShape shape, int atLevel) {
    int level = atLevel;
    double sum = 0;
    if (shape.form() == Form.EVEN) {
      sum += multiplication(level--);
    }
    int depth = Integer.SIZE - Integer.numberOfLeadingZeros(shape.degree());
    int parts = (shape.degree() + 2) / 2;
    sum += parts * rescale(level);
    for (int j = 1; j < depth; j++) {
      sum += multiplication(level - j + 1);
      sum += parts / 2 * multiplication(level - j);
      parts = (parts + 1) / 2;
    }
    return sum;
  }
}
