package org.fhespark.nativelib;

/**
 * A step of a circuit with look-ups. Values are numbered: the packed layer's outputs first, then
 * those of each step in turn.
 */
public sealed interface LookupStep {

  /**
   * Integer combinations of values, and a constant added to each.
   *
   * @param ends where each row ends in the two others
   * @param columns the values that are combined
   * @param weights their weights
   * @param constants a torus element a row, in units of 2^-64
   */
  record Linear(int[] ends, int[] columns, int[] weights, long[] constants) implements LookupStep {}

  /**
   * {@code table[factor · value + offset]} for some values in a row.
   *
   * @param first the first of them
   * @param count their number
   * @param factor what they are multiplied by
   * @param offset a torus element, in units of 2^-64
   * @param table which table
   */
  record Lookup(int first, int count, long factor, long offset, int table) implements LookupStep {}
}
