package org.fhespark.compiler.leveled;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * What the values of a chain can be, for every record of a ball. Beside the interval of each value
 * it follows how values differ from those of the ball's center: with s a secant's slope of an
 * activation p, {@code p(u) − p(u0) = s·(u − u0)}, so that the difference of a later value is
 * {@code W_L S_{L−1} W_{L−1} … S_0 W_0 x}, with slopes between known ones. Each is a known middle
 * and the rest; the middles make one linear map of x, whose bound is that of Cauchy and Schwarz,
 * and what the rests add is bounded layer by layer.
 *
 * <p>Immutable: a chain is bounded from its first layer on, and several may share their beginning.
 */
final class ForwardBounds {
  /** Products of a pass back through all layers that are worth their time. */
  private static final double MOST_PRODUCTS = 3e10;

  /** Room for the rounding of double arithmetic, in sums of many terms. */
  private static final double ROUNDING = 1e-9;

  private final double radius;
  private final ForwardBounds before;

  /** u = matrix · (values before) + constants, where the values before the first layer are x. */
  private final double[][] matrix;

  /** u at the center. */
  private final double[] reference;

  private final Interval[] ranges;

  /** How far u is from its reference at most. */
  private final double[] reach;

  /** Bound of the norm of all differences from the reference, each divided by its reach. */
  private final double norm;

  private final double[] middleSlopes;
  private final double[] slopeHalves;
  private final double[] activationReference;
  private final Interval[] activationRanges;

  private ForwardBounds(
      double radius,
      ForwardBounds before,
      double[][] matrix,
      double[] reference,
      Interval[] ranges,
      ChebyshevPolynomial[] activations) {
    int width = matrix.length;
    this.radius = radius;
    this.before = before;
    this.matrix = matrix;
    this.reference = reference;
    this.ranges = ranges;
    this.reach = new double[width];
    this.middleSlopes = new double[width];
    this.slopeHalves = new double[width];
    this.activationReference = new double[width];
    this.activationRanges = new Interval[width];
    IntStream.range(0, width)
        .parallel()
        .forEach(
            i -> {
              reach[i] = ranges[i].reach(reference[i]);
              Interval slopes = activations[i].secants(reference[i], ranges[i]);
              middleSlopes[i] = slopes.middle();
              slopeHalves[i] = slopes.half();
              activationReference[i] = activations[i].value(reference[i]);
              activationRanges[i] = activations[i].bounds();
            });
    this.norm = norm();
  }

  /** What linear maps of a ball around zero can be. */
  static Layer first(double radius, double[][] matrix, double[] constants) {
    Interval[] ranges = new Interval[matrix.length];
    for (int i = 0; i < ranges.length; i++) {
      double half = radius * RecordBall.norm(matrix[i]) * (1 + ROUNDING);
      ranges[i] = new Interval(constants[i] - half, constants[i] + half);
    }
    return new Layer(radius, null, matrix, constants.clone(), ranges);
  }

  /** A layer whose ranges are known, and whose activations are not yet. */
  record Layer(
      double radius,
      ForwardBounds before,
      double[][] matrix,
      double[] reference,
      Interval[] ranges) {

    /** The same values u in other units: (u − offset) / unit, of each. */
    Layer normalised(double[] offsets, double[] units) {
      int width = matrix.length;
      double[][] scaled = new double[width][];
      double[] moved = new double[width];
      Interval[] own = new Interval[width];
      for (int i = 0; i < width; i++) {
        double unit = units[i];
        scaled[i] = Arrays.stream(matrix[i]).map(weight -> weight / unit).toArray();
        moved[i] = (reference[i] - offsets[i]) / unit;
        own[i] =
            new Interval(
                (ranges[i].low() - offsets[i]) / unit, (ranges[i].high() - offsets[i]) / unit);
      }
      return new Layer(radius, before, scaled, moved, own);
    }

    /**
     * What is known after functions of these values.
     *
     * @param activations polynomials on [-1, 1], which all values are in
     */
    ForwardBounds activated(ChebyshevPolynomial[] activations) {
      return new ForwardBounds(radius, before, matrix, reference, ranges, activations);
    }
  }

  /**
   * What linear maps of the activations can be.
   *
   * @param next {@code [outputs][activations]}
   * @param constants {@code [outputs]}
   */
  Layer then(double[][] next, double[] constants) {
    double[] at = new double[next.length];
    Interval[] own = new Interval[next.length];
    boolean isDeep = products(next.length) <= MOST_PRODUCTS;
    IntStream.range(0, next.length)
        .parallel()
        .forEach(
            i -> {
              at[i] = constants[i] + dot(next[i], activationReference);
              double half = differenceOfActivations(next[i], isDeep) * (1 + ROUNDING);
              own[i] =
                  fromRanges(next[i], constants[i])
                      .intersection(new Interval(at[i] - half, at[i] + half));
            });
    return new Layer(radius, this, next, at, own);
  }

  /** What a linear map of activations can be, by the range of each alone. */
  private Interval fromRanges(double[] row, double constant) {
    double low = constant;
    double high = constant;
    for (int k = 0; k < row.length; k++) {
      double weight = row[k];
      low += weight * (weight > 0 ? activationRanges[k].low() : activationRanges[k].high());
      high += weight * (weight > 0 ? activationRanges[k].high() : activationRanges[k].low());
    }
    return new Interval(low, high);
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int k = 0; k < a.length; k++) {
      sum += a[k] * b[k];
    }
    return sum;
  }

  /** Products that a pass back takes for so many rows. */
  private double products(int rows) {
    double own = (double) rows * matrix.length * matrix[0].length;
    return before == null ? own : own + before.products(rows);
  }

  /** A bound of |Σ_k row_k · (a_k − a_k(center))|. */
  private double differenceOfActivations(double[] row, boolean isDeep) {
    double[] middle = new double[row.length];
    double[] rest = new double[row.length];
    for (int k = 0; k < row.length; k++) {
      middle[k] = row[k] * middleSlopes[k];
      rest[k] = row[k] * slopeHalves[k];
    }
    return difference(middle, isDeep) + shallowDifference(rest);
  }

  /** A bound of |Σ_k row_k · (u_k − u_k(center))|. */
  private double difference(double[] row, boolean isDeep) {
    double shallow = shallowDifference(row);
    if (!isDeep) {
      return shallow;
    }
    double[] back = new double[matrix[0].length];
    for (int k = 0; k < row.length; k++) {
      for (int j = 0; j < back.length; j++) {
        back[j] += row[k] * matrix[k][j];
      }
    }
    double deep =
        before == null
            ? radius * RecordBall.norm(back)
            : before.differenceOfActivations(back, true);
    return Math.min(shallow, deep);
  }

  /** The same whatever the signs of the row's entries: by the reach of each, and of all. */
  private double shallowDifference(double[] row) {
    double sum = 0;
    double square = 0;
    for (int k = 0; k < row.length; k++) {
      double term = Math.abs(row[k]) * reach[k];
      sum += term;
      square += term * term;
    }
    return Math.min(sum, norm * Math.sqrt(square));
  }

  private double norm() {
    double[][] relative = new double[matrix.length][matrix[0].length];
    for (int i = 0; i < relative.length; i++) {
      for (int j = 0; j < relative[i].length; j++) {
        double steepest =
            before == null
                ? 1
                : before.reach[j] * (Math.abs(before.middleSlopes[j]) + before.slopeHalves[j]);
        relative[i][j] = reach[i] == 0 ? 0 : matrix[i][j] * steepest / reach[i];
      }
    }
    double incoming = before == null ? radius : before.norm;
    return Math.min(Math.sqrt(matrix.length), SpectralNorm.bound(relative) * incoming);
  }
}
