package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;

/**
 * One call of a remote module, as the client sees it. Calls of one stage that read the same tensor
 * have parameters and quantisation in common, so that they can share an encryption if the client
 * scales each record by the largest of their norms.
 *
 * @param module the module's key
 * @param stage remote stages run one after another, from 0
 * @param input the tensor it reads, {@code [.., dIn]}
 * @param output the tensor it makes, {@code [.., dOut]}
 * @param circuitDigest SHA-256 of the server's circuit, in hexadecimal
 * @param norms norms of the integer weights
 * @param weightScales scale of each output's weights, {@code [dOut]}
 * @param bias added after dequantisation, {@code [dOut]}; null if the module has none
 * @param weightBits bits of the weights
 * @param log2FailureProbability log2 of a bound on the probability of a wrong accumulator
 * @param noiseMarginBits see {@link org.fhespark.compiler.parameters.FailureProbability}
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record RemoteModuleSpec(
    String module,
    int stage,
    String input,
    String output,
    int dIn,
    int dOut,
    String circuitDigest,
    PackedParameters parameters,
    WeightNorms norms,
    Quantization quantization,
    float[] weightScales,
    float[] bias,
    int weightBits,
    double log2FailureProbability,
    double noiseMarginBits) {

  /** What the native client needs. */
  public ModuleSpec moduleSpec() {
    return new ModuleSpec(
        CircuitDigest.parse(circuitDigest),
        parameters,
        dIn,
        dOut,
        norms,
        quantization,
        weightScales,
        bias == null ? new float[0] : bias);
  }
}
