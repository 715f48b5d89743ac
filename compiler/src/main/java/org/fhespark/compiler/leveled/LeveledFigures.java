package org.fhespark.compiler.leveled;

import org.fhespark.nativelib.LeveledActivation.Form;

/**
 * How an activation of a chain became polynomials.
 *
 * @param tensor that it makes
 * @param neurons how many polynomials there are
 * @param form of them
 * @param degree the largest k of T_k
 * @param range half the proven range of arguments, the median of all neurons
 * @param seen the largest distance from the range's middle that a calibration row made, relative to
 *     the range, of all neurons
 * @param largestError of any polynomial anywhere in its range, relative to {@code range}
 * @param error root mean square over calibration rows that no polynomial was fitted to, relative to
 *     the root mean square of what the function gives
 * @param curve of the neuron with the median range
 */
public record LeveledFigures(
    String tensor,
    int neurons,
    Form form,
    int degree,
    double range,
    double seen,
    double largestError,
    double error,
    Curve curve) {

  /** The degree of the polynomials in their argument: T_k(2u² − 1) is of degree 2k. */
  public int degreeInArguments() {
    return form == Form.EVEN ? 2 * degree : degree;
  }

  /**
   * A function and its polynomial, over the whole range of a neuron.
   *
   * @param low the least argument
   * @param high the largest
   * @param function at points from low to high, evenly
   * @param polynomial there
   * @param counts how many of all neurons' arguments in calibration are in each of as many parts of
   *     their ranges
   */
  public record Curve(
      double low, double high, double[] function, double[] polynomial, long[] counts) {}
}
