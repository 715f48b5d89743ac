package org.fhespark.nativelib;

/**
 * Shape of a set of GLWE secret keys: {@code bodies} keys of {@code glweDimension} binary
 * polynomials of {@code polynomialSize} coefficients, for the ciphertext modulus 2^(8·limbs).
 */
public record SecretKeyShape(int glweDimension, int polynomialSize, int limbs, int bodies) {
  /** As the native methods take them. */
  int[] fields() {
    return new int[] {glweDimension, polynomialSize, limbs, bodies};
  }
}
