package org.fhespark.compiler.leveled;

import java.util.List;
import org.fhespark.nativelib.LeveledCircuit;

/** Ring degrees that circuits are tried with, and what they hold. */
final class Rings {
  /** Degrees, ascending. */
  static final List<Integer> DEGREES = List.of(4096, 8192, 16384, 32768);

  private Rings() {}

  /** The most levels of a ring; evaluation keys have one prime more. */
  static int mostLevels(int degree) {
    return LeveledCircuit.maxLevels(degree);
  }
}
