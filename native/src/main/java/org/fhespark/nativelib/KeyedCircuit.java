package org.fhespark.nativelib;

import java.util.function.BooleanSupplier;

/**
 * A circuit that takes the client's evaluation key, ready to be evaluated on encrypted blocks; safe
 * to share between threads.
 */
public sealed interface KeyedCircuit extends AutoCloseable permits LookupCircuit, LeveledCircuit {
  /** Whether a circuit file says that it is one; whether it is whole, {@link #open} tells. */
  static boolean isOne(byte[] file) {
    return LookupCircuit.isOne(file) || LeveledCircuit.isOne(file);
  }

  /**
   * Prepares a circuit file.
   *
   * @throws org.fhespark.InvalidInputException if the file is truncated, altered, of another
   *     version, or its circuit takes no evaluation key
   */
  static KeyedCircuit open(byte[] file) {
    return LeveledCircuit.isOne(file) ? LeveledCircuit.open(file) : LookupCircuit.open(file);
  }

  /** Of the file that it was prepared from; blocks and results carry it. */
  CircuitDigest digest();

  /** Those that its evaluation key must serve. */
  EvaluationParameters parameters();

  /** d_in. */
  int inputs();

  /** Values that are the result, a record. */
  int outputs();

  /** Bytes of native memory it holds now, working memory that it keeps for evaluations included. */
  long memoryBytes();

  /**
   * Evaluates a batch of encrypted blocks, one {@code LargeVarBinary} row each, through the Arrow C
   * Data Interface.
   *
   * @param keys evaluation key of the client whose blocks they are
   * @param inputArray address of an exported {@code ArrowArray}; moved out by this call
   * @param inputSchema address of its {@code ArrowSchema}; moved out by this call
   * @param outputArray address of an empty {@code ArrowArray}, filled with the results
   * @param outputSchema address of an empty {@code ArrowSchema}, filled
   * @param threads threads to use at most, the calling one among them
   * @param shouldStop asked by the calling thread, some times a second
   * @throws java.util.concurrent.CancellationException if {@code shouldStop} said so
   * @throws org.fhespark.InvalidInputException naming the row of a damaged or foreign block, or of
   *     one that the key does not belong to
   */
  void evaluate(
      EvaluationKey keys,
      long inputArray,
      long inputSchema,
      long outputArray,
      long outputSchema,
      int threads,
      BooleanSupplier shouldStop);

  @Override
  void close();
}
