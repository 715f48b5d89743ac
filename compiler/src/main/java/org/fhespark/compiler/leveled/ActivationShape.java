package org.fhespark.compiler.leveled;

import java.util.List;
import org.fhespark.nativelib.LeveledActivation.Form;
import org.fhespark.nativelib.LeveledCircuit;

/**
 * What polynomials stand for a function, but for their coefficients.
 *
 * @param form of them
 * @param degree the largest k of T_k
 */
record ActivationShape(Form form, int degree) {
  /** Degrees that make the most of their levels. */
  static final List<Integer> DEGREES = List.of(3, 7, 15, 31, 63);

  /** Levels that it takes: ⌈log2(degree + 1)⌉, and one for 2u² − 1. */
  int levels() {
    int powers = Integer.SIZE - Integer.numberOfLeadingZeros(degree);
    return form == Form.EVEN ? powers + 1 : powers;
  }

  /** Levels of a fresh ciphertext that a chain with these activations takes. */
  static int levels(List<ActivationShape> activations) {
    return LeveledCircuit.levelsNeeded(
        activations.stream().map(ActivationShape::form).toList(),
        activations.stream().mapToInt(ActivationShape::degree).toArray());
  }
}
