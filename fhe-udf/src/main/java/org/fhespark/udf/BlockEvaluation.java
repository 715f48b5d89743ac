package org.fhespark.udf;

import java.util.function.BooleanSupplier;
import org.fhespark.nativelib.LookupCircuit;
import org.fhespark.nativelib.PackedCircuit;

/**
 * What evaluates a batch of blocks: a prepared circuit, with its evaluation key if it needs one.
 */
@FunctionalInterface
public interface BlockEvaluation {
  /**
   * Evaluates blocks, as {@link PackedCircuit#evaluate} and {@link LookupCircuit#evaluate} say.
   *
   * @param inputArray address of an exported {@code ArrowArray}; moved out by this call
   * @param inputSchema address of its {@code ArrowSchema}; moved out by this call
   * @param outputArray address of an empty {@code ArrowArray}, filled with the results
   * @param outputSchema address of an empty {@code ArrowSchema}, filled
   * @param threads threads to use at most, the calling one among them
   * @param shouldStop asked by the calling thread
   */
  void evaluate(
      long inputArray,
      long inputSchema,
      long outputArray,
      long outputSchema,
      int threads,
      BooleanSupplier shouldStop);
}
