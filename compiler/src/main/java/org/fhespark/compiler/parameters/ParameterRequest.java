package org.fhespark.compiler.parameters;

import java.util.OptionalInt;
import java.util.function.IntToDoubleFunction;
import org.fhespark.nativelib.WeightNorms;

/**
 * What a circuit, or several that read the same records, must carry.
 *
 * @param modules their keys, for messages
 * @param layer their number and shape
 * @param norms norms of the integer weights, the largest of the circuits, each at least 1: so the
 *     client counts them, to keep the activations of a layer of zeros in range too
 * @param accumulatorBound for a number of activation bits, a bound on the accumulators of all but a
 *     few calibrated records (see {@link ParameterSearch})
 * @param nonZeroRecords calibrated records that this bound rests on
 * @param activationBits 4 to 16, or empty for as many as fit the limbs that 8 need
 * @param limbs bytes of the modulus, whether or not p_error can then be met; empty for any
 * @param log2PError log2 of the probability, per value, of a wrong accumulator that is tolerated
 * @param records T, expected in a block
 * @param costs what work costs
 * @param summands results that may be added, 1 for none; {@code accumulatorBound} is on their sum
 * @param protectsWeights whether results are re-randomised and flooded
 */
public record ParameterRequest(
    String modules,
    BlockWork.Layer layer,
    WeightNorms norms,
    IntToDoubleFunction accumulatorBound,
    long nonZeroRecords,
    OptionalInt activationBits,
    OptionalInt limbs,
    double log2PError,
    int records,
    CostConstants costs,
    int summands,
    boolean protectsWeights) {

  /**
   * A request that leaves the modulus open, for results that are neither added nor re-randomised.
   */
  public ParameterRequest(
      String modules,
      BlockWork.Layer layer,
      WeightNorms norms,
      IntToDoubleFunction accumulatorBound,
      long nonZeroRecords,
      OptionalInt activationBits,
      double log2PError,
      int records,
      CostConstants costs) {
    this(
        modules,
        layer,
        norms,
        accumulatorBound,
        nonZeroRecords,
        activationBits,
        OptionalInt.empty(),
        log2PError,
        records,
        costs,
        1,
        false);
  }
}
