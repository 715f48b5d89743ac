package org.fhespark.nativelib;

import java.util.Objects;

/**
 * Which arguments the tables of a circuit are made for, by look-up, in order. Evaluation in clear
 * counts others; encrypted evaluation cannot know them.
 *
 * @param reaches their largest magnitude, in turns of the torus
 * @param wholeTurns turns that constants on the way to the argument leave out, being torus elements
 */
public record LookupRanges(double[] reaches, int[] wholeTurns) {
  /** Of circuits whose ranges are not known: nothing is counted. */
  public static final LookupRanges NONE = new LookupRanges(new double[0], new int[0]);

  public LookupRanges {
    Objects.requireNonNull(reaches);
    Objects.requireNonNull(wholeTurns);
  }
}
