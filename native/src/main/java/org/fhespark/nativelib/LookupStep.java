package org.fhespark.nativelib;

/**
 * A step of a circuit with look-ups. It makes values of values, which are numbered: the packed
 * layer's outputs first, then those of each step in turn. A value is a phase on the torus, in units
 * of 2^-64.
 */
public sealed interface LookupStep {
  /** How many values it makes. */
  int values();

  /**
   * Integer combinations, a sparse matrix by rows, and a constant added to each.
   *
   * @param ends where each row ends in the two next, {@code [rows]}
   * @param columns the values that are combined
   * @param weights their weights
   * @param constants torus elements, {@code [rows]}
   */
  record Linear(int[] ends, int[] columns, int[] weights, long[] constants) implements LookupStep {
    @Override
    public int values() {
      return ends.length;
    }
  }

  /**
   * {@code table[factor · value + offset]} for some values in a row. A table has N entries, for the
   * phases i/(2N) of half the torus; the other half reads their negatives.
   *
   * @param first the first value
   * @param count their number
   * @param factor not 0, and at most 2^40
   * @param offset a torus element
   * @param table which table
   */
  record Lookup(int first, int count, long factor, long offset, int table) implements LookupStep {
    @Override
    public int values() {
      return count;
    }
  }
}
