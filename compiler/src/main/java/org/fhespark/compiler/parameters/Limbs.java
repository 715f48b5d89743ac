package org.fhespark.compiler.parameters;

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

  PackedParameters with(
      int glweDimension, int polynomialSize, int messageBits, int bodies, int summands) {
    return new PackedParameters(
        glweDimension,
        polynomialSize,
        mask,
        body,
        outputMask,
        outputBody,
        messageBits,
        bodies,
        summands);
  }
}
