package org.fhespark.compiler.leveled;

import java.util.List;
import java.util.Map;
import org.fhespark.nativelib.LeveledCircuit;

/** Ring degrees that circuits are tried with, and what they hold. */
final class Rings {
  /**
   * log2 of the largest modulus of each degree with 128-bit security: ternary secrets, classical
   * attacks, of "Security Guidelines for Implementing Homomorphic Encryption", ePrint 2024/463.
   * Native code refuses what is above.
   */
  private static final Map<Integer, Integer> SECURE_MODULUS =
      Map.of(4096, 106, 8192, 214, 16384, 430, 32768, 868);

  /** Degrees, ascending. */
  static final List<Integer> DEGREES = SECURE_MODULUS.keySet().stream().sorted().toList();

  private Rings() {}

  static int log2SecureModulus(int degree) {
    return SECURE_MODULUS.get(degree);
  }

  /** The most levels of a ring; evaluation keys have one prime more. */
  static int mostLevels(int degree) {
    return LeveledCircuit.maxLevels(degree);
  }
}
