package org.fhespark.nativelib;

/**
 * Sums of blocks of results: ciphertexts add entry by entry, and so do the accumulators in them.
 * Whoever adds needs no key and no circuit.
 *
 * <p>Blocks that are added are results of one circuit under one key, of as many records each; slot
 * t of a sum holds the sum of their records t. The circuit says how many it was compiled for
 * ({@link PackedParameters#summands}), every block carries that and what it is the sum of, and one
 * too many is refused. Results of look-ups cannot be added.
 *
 * <p>No block may be in a sum twice: that doubles its noise, which the circuit's budget counts
 * once.
 */
public final class BlockSum {
  private BlockSum() {}

  /**
   * A sum of one block of results.
   *
   * @param results a block of results; it stays as it is
   * @return the sum, as long as the block
   * @throws org.fhespark.InvalidInputException if the block is damaged or cannot be added
   */
  public static byte[] of(byte[] results) {
    NativeLibrary.load();
    return FheNative.startSum(results);
  }

  /**
   * Adds a block of results, or a sum of such, to a sum.
   *
   * @param sum from {@link #of}, changed in place; no other thread may use it meanwhile
   * @param block added; it stays as it is
   * @throws org.fhespark.InvalidInputException if either is damaged, they do not belong together,
   *     or the circuit was not compiled for sums of so many; {@code sum} is then as it was
   */
  public static void add(byte[] sum, byte[] block) {
    NativeLibrary.load();
    FheNative.addToSum(sum, block);
  }
}
