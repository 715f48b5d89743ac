package org.fhespark.nativelib;

/**
 * What a client must know of one remote module. No weight is in it.
 *
 * @param circuit digest of the server's circuit
 * @param parameters of blocks and results
 * @param inputs d_in
 * @param outputs d_out
 * @param norms norms of the integer weights, which bound the accumulators
 * @param quantization float activations to integers
 * @param weightScales scale of each output's weights, {@code [d_out]}
 * @param bias added by the client after dequantisation, {@code [d_out]}, or empty
 */
public record ModuleSpec(
    CircuitDigest circuit,
    PackedParameters parameters,
    int inputs,
    int outputs,
    WeightNorms norms,
    Quantization quantization,
    float[] weightScales,
    float[] bias) {}
