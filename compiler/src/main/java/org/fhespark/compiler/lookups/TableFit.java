package org.fhespark.compiler.lookups;

/**
 * A function as a table and a straight line: {@code f(x) = g(x) + slope · x + intercept}. A table
 * holds half a turn of the torus and its negatives the other half, so that g(x - r) = -g(x), half a
 * turn being worth r. Some functions are that exactly with the right line (|x| over [-r, r] with
 * none, max(x, 0) with half of x) and use the whole torus for their range; others need that their
 * range is less than the whole turn, the less the more.
 *
 * <p>The line and r are those of the least mean square error of f: what noise of a standard
 * deviation in turns makes of g's slope, and what g cannot be where the two halves of the range
 * contradict each other.
 */
final class TableFit {
  /** Cells of the grid that holds f, over twice the range on both sides. */
  private static final int CELLS = 1 << 13;

  /** Widths of the turn that are tried, from the range itself to twice. */
  private static final int WIDTHS = 41;

  /** Share of arguments that are taken to be anywhere in the range. */
  private static final double ANYWHERE = 0.01;

  private static final double MOST_TURNS = 4;

  private static final double TINY = 1e-12;

  private final double centre;

  /** Half the range of arguments. */
  private final double calibrated;

  /** Half the range of arguments and of what noise makes of them. */
  private final double range;

  /** f at {@code centre - 2·range + i·step}. */
  private final double[] values;

  /** Probability of each cell. */
  private final double[] density;

  private final double step;
  private double halfTurn;
  private double slope;
  private double intercept;
  private double error = Double.POSITIVE_INFINITY;
  private double misfit;

  private TableFit(
      ValueFunction function, double centre, double calibrated, double range, float[][] arguments) {
    this.centre = centre;
    this.calibrated = calibrated;
    this.range = range;
    this.step = 4 * range / CELLS;
    double[] grid = new double[CELLS + 1];
    for (int i = 0; i <= CELLS; i++) {
      grid[i] = centre - 2 * range + i * step;
    }
    this.values = function.apply(grid);
    this.density = density(arguments);
  }

  /**
   * Fits a function.
   *
   * @param centre the argument that phase 0 stands for
   * @param range arguments lie in [centre - range, centre + range]
   * @param arguments some that occur
   * @param deviation of the phase that is read, in turns
   * @param margin what noise may take a phase beyond the range, in turns
   */
  static TableFit of(
      ValueFunction function,
      double centre,
      double range,
      float[][] arguments,
      double deviation,
      double margin) {
    // A turn is four times the range at most.
    double wide = range * (1 + MOST_TURNS * margin);
    TableFit fit = new TableFit(function, centre, range, wide, arguments);
    for (int i = 0; i < WIDTHS; i++) {
      fit.attempt(range + (2 * wide - range) * i / (WIDTHS - 1), deviation);
    }
    return fit;
  }

  private double[] density(float[][] arguments) {
    double[] counts = new double[CELLS + 1];
    double total = 0;
    for (float[] some : arguments) {
      for (float argument : some) {
        int cell = (int) Math.rint((argument - centre + 2 * range) / step);
        if (cell >= CELLS / 4 && cell <= 3 * CELLS / 4) {
          counts[cell]++;
          total++;
        }
      }
    }
    // A sample is sparse: each argument stands for those around it.
    int width = CELLS / 128;
    double[] smooth = new double[CELLS + 1];
    double window = 0;
    for (int i = -width; i <= CELLS; i++) {
      window += i + width <= CELLS ? counts[i + width] : 0;
      window -= i - width - 1 >= 0 ? counts[i - width - 1] : 0;
      if (i >= 0) {
        boolean inside = i >= CELLS / 4 && i <= 3 * CELLS / 4;
        double seen = total == 0 ? 0 : window / (2 * width + 1) / total;
        smooth[i] = inside ? (1 - ANYWHERE) * seen + ANYWHERE / (CELLS / 2.0) : 0;
      }
    }
    return smooth;
  }

  /** Takes a width of half a turn, if it is better than what was tried. */
  private void attempt(double half, double deviation) {
    // Normal equations of the line; the error is s0 - ... in (slope, intercept).
    double noise = deviation * deviation * 4 * half * half;
    double aa = 0;
    double ab = 0;
    double bb = 0;
    double ay = 0;
    double by = 0;
    for (int i = 0; i < CELLS; i++) {
      double p = density[i];
      if (p == 0) {
        continue;
      }
      double derivative = (values[i + 1] - values[i]) / step;
      aa += noise * p;
      ay += noise * p * derivative;
      double x = i * step - 2 * range;
      if (x >= 0 && x < half) {
        double weight = conflict(p, densityAt(x - half));
        double y = values[i] + valueAt(x - half);
        double u = 2 * (centre + x) - half;
        aa += weight * u * u;
        ab += weight * u * 2;
        bb += weight * 4;
        ay += weight * u * y;
        by += weight * 2 * y;
      }
    }
    double a;
    double b;
    double determinant = aa * bb - ab * ab;
    if (bb < TINY || determinant < TINY * aa * bb) {
      a = aa == 0 ? 0 : ay / aa;
      b = middle(a);
    } else {
      a = (ay * bb - by * ab) / determinant;
      b = (by * aa - ay * ab) / determinant;
    }
    double misfitSquare = 0;
    double noiseSquare = 0;
    for (int i = 0; i < CELLS; i++) {
      double p = density[i];
      if (p == 0) {
        continue;
      }
      double derivative = (values[i + 1] - values[i]) / step - a;
      noiseSquare += noise * p * derivative * derivative;
      double x = i * step - 2 * range;
      if (x >= 0 && x < half) {
        double sum = values[i] + valueAt(x - half) - a * (2 * (centre + x) - half) - 2 * b;
        misfitSquare += conflict(p, densityAt(x - half)) * sum * sum;
      }
    }
    if (misfitSquare + noiseSquare < error * (1 - 1e-6)) {
      error = misfitSquare + noiseSquare;
      misfit = misfitSquare;
      halfTurn = half;
      slope = a;
      intercept = b;
    }
  }

  /** Weight of the square of h(x) + h(x - r), if g is the best compromise of the two. */
  private static double conflict(double here, double there) {
    return here + there == 0 ? 0 : here * there / (here + there);
  }

  /** What keeps f less the line small at both ends. */
  private double middle(double a) {
    double least = Double.POSITIVE_INFINITY;
    double most = Double.NEGATIVE_INFINITY;
    for (int i = CELLS / 4; i <= 3 * CELLS / 4; i++) {
      double h = values[i] - a * (centre + i * step - 2 * range);
      least = Math.min(least, h);
      most = Math.max(most, h);
    }
    return (least + most) / 2;
  }

  private double valueAt(double x) {
    double at = Math.max(0, Math.min(CELLS, (x + 2 * range) / step));
    int cell = Math.min(CELLS - 1, (int) at);
    return values[cell] + (at - cell) * (values[cell + 1] - values[cell]);
  }

  private double densityAt(double x) {
    long cell = Math.round((x + 2 * range) / step);
    return cell < 0 || cell > CELLS ? 0 : density[(int) cell];
  }

  /** r, what half a turn is worth. */
  double halfTurn() {
    return halfTurn;
  }

  /** The argument that phase 0 stands for. */
  double centre() {
    return centre;
  }

  double slope() {
    return slope;
  }

  double intercept() {
    return intercept;
  }

  /** Half the range that arguments lie in. */
  double range() {
    return calibrated;
  }

  /** The share of a turn that the range takes; 1 if it is more. */
  double rangeInTurns() {
    return Math.min(1, calibrated / halfTurn);
  }

  /** Root mean square of what g cannot be. */
  double misfit() {
    return Math.sqrt(misfit);
  }

  /** Root mean square error of f, that of noise included. */
  double error() {
    return Math.sqrt(error);
  }

  /** g at {@code centre + i·r/size}. */
  double[] table(int size) {
    double[] table = new double[size];
    for (int i = 0; i < size; i++) {
      double x = i * halfTurn / size;
      double here = densityAt(x);
      double there = densityAt(x - halfTurn);
      double share = here + there == 0 ? 0.5 : here / (here + there);
      table[i] = share * rest(x) - (1 - share) * rest(x - halfTurn);
    }
    return table;
  }

  /** f less the line. */
  private double rest(double x) {
    return valueAt(x) - slope * (centre + x) - intercept;
  }
}
