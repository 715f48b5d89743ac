package org.fhespark.nativelib;

/**
 * Shape of a set of GLWE secret keys, which are binary.
 *
 * @param glweDimension k, polynomials of a key
 * @param polynomialSize N, coefficients of a polynomial
 * @param limbs bytes of the ciphertext modulus, 2^(8·limbs)
 * @param bodies K, the number of keys
 */
public record SecretKeyShape(int glweDimension, int polynomialSize, int limbs, int bodies) {
  /** As the native methods take them. */
  int[] fields() {
    return new int[] {glweDimension, polynomialSize, limbs, bodies};
  }
}
