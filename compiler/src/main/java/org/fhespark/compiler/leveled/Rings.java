package org.fhespark.compiler.leveled;

import java.util.List;

/** Ring degrees that circuits are tried with, and what they hold. */
final class Rings {
  /** Degrees, ascending. */
  static final List<Integer> DEGREES = List.of(4096, 8192, 16384, 32768);

  private static final int[] MOST_LEVELS = {2, 6, 13, 27};

  private Rings() {}

  /** The most levels of a ring that keep 128-bit security. */
  static int mostLevels(int degree) {
    return MOST_LEVELS[DEGREES.indexOf(degree)];
  }

  static double nominalScale() {
    return 0x1p29;
  }

  static double largestOutputScale(int degree) {
    return 0x1p27;
  }
}
