package org.fhespark.compiler.parameters;

import org.fhespark.nativelib.NoiseModel;
import org.fhespark.nativelib.PackedParameters;

/**
 * Bytes of each kind of entry.
 *
 * @param mask of the mask, hence the modulus q = 2^(8·mask)
 * @param body of bodies on the way up
 * @param outputMask of the mask of a result
 * @param outputBody of bodies of a result
 */
record Limbs(int mask, int body, int outputMask, int outputBody) {

  /** Whether no kind has more bytes than in {@code other}. */
  boolean atMost(Limbs other) {
    return mask <= other.mask
        && body <= other.body
        && outputMask <= other.outputMask
        && outputBody <= other.outputBody;
  }

  /**
   * Whether there is room for p bits, and for flooding that hides enough if results are to be
   * re-randomised.
   *
   * @param dimension n, secure with these limbs
   * @param capacity the most records of a block
   */
  boolean hold(
      int messageBits, int summands, boolean protectsWeights, int dimension, int capacity) {
    return messageBits <= 8 * outputBody
        && (!protectsWeights
            || PackedParameters.mostFlooding(mask, messageBits, summands)
                >= NoiseModel.leastFlooding(dimension, mask, capacity));
  }

  /**
   * Parameters with these limbs.
   *
   * @param protectsWeights whether results are re-randomised, and flooded as far as can be
   */
  PackedParameters with(
      int glweDimension,
      int polynomialSize,
      int messageBits,
      int bodies,
      int summands,
      boolean protectsWeights) {
    return new PackedParameters(
        glweDimension,
        polynomialSize,
        mask,
        body,
        outputMask,
        outputBody,
        messageBits,
        bodies,
        summands,
        protectsWeights ? PackedParameters.mostFlooding(mask, messageBits, summands) : 0);
  }
}
