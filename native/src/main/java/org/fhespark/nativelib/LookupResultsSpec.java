package org.fhespark.nativelib;

/**
 * What a client must know of the results of a circuit with look-ups.
 *
 * @param circuit digest of the server's circuit
 * @param parameters of its packed layer and its bootstraps
 * @param outputScales what a whole torus is worth in each output, {@code [outputs]}: a phase is
 *     phase / 2^64 · scale + bias
 * @param bias added by the client, {@code [outputs]}, or empty
 */
public record LookupResultsSpec(
    CircuitDigest circuit, BootstrapParameters parameters, double[] outputScales, float[] bias) {}
