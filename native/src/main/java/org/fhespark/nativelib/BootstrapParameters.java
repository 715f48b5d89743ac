package org.fhespark.nativelib;

/**
 * Parameters of look-ups; q = 2^64, binary secrets, TUniform noise.
 *
 * @param lweDimension n, the dimension that ciphertexts are switched to before a look-up
 * @param glweDimension k of the bootstrap key and of the packed layer
 * @param polynomialSize N of both: a table has N entries, for half the torus
 * @param bootstrap of the bootstrap key
 * @param keyswitch of the key that switches from k·N to n
 * @param outputBytes bytes kept of an entry of the results, from the top
 */
public record BootstrapParameters(
    int lweDimension,
    int glweDimension,
    int polynomialSize,
    Decomposition bootstrap,
    Decomposition keyswitch,
    int outputBytes) {}
