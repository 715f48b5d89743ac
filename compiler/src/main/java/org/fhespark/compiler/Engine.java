package org.fhespark.compiler;

import java.util.Locale;

/** What computes a module with non-linearities. */
public enum Engine {
  /** The faster one of those that are exact enough. */
  AUTO,
  /** Look-ups by programmable bootstrapping, one record after another. */
  PBS,
  /** Polynomials on a ring whose slots hold many records side by side, without bootstrapping. */
  SIMD;

  /** As options write it. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
