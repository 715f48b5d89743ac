package org.fhespark.nativelib;

import java.util.Objects;
import org.fhespark.InvalidInputException;

/**
 * The polynomials that stand for a function between two layers of a {@link LeveledChain}, one a
 * neuron, in the Chebyshev basis.
 *
 * @param form what they are polynomials of
 * @param degree the largest k of T_k
 * @param coefficients {@code [neurons][degree + 1]}
 * @param linear α of each neuron, {@code [neurons]}; empty in form {@link Form#GENERAL}
 */
public record LeveledActivation(Form form, int degree, double[] coefficients, double[] linear) {
  /** What {@link #coefficients} multiply. */
  public enum Form {
    /** {@code Σ_k c_k · T_k(u)}. */
    GENERAL,
    /** {@code α·u + Σ_k c_k · T_k(2u² − 1)}: a function that is even but for a linear part. */
    EVEN
  }

  public LeveledActivation {
    Objects.requireNonNull(form);
    if (degree < 1
        || coefficients.length == 0
        || coefficients.length % (degree + 1) != 0
        || linear.length != (form == Form.EVEN ? coefficients.length / (degree + 1) : 0)) {
      throw new InvalidInputException(
          "an activation of degree "
              + degree
              + " has "
              + coefficients.length
              + " coefficients and "
              + linear.length
              + " linear terms");
    }
  }

  /** How many polynomials there are. */
  public int neurons() {
    return coefficients.length / (degree + 1);
  }
}
