package org.fhespark.compiler;

import java.util.List;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.parameters.Cost;
import org.fhespark.compiler.parameters.CostConstants;
import org.fhespark.compiler.parameters.ParameterChoice;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.nativelib.PackedParameters;

/**
 * What a compilation did: the contents of report.json.
 *
 * @param formatVersion {@link ArtifactJson#FORMAT_VERSION}
 * @param model the ONNX file's name
 * @param modelDigest SHA-256 of the ONNX model, in hexadecimal
 * @param clientId SHA-256 of client.json, in hexadecimal
 * @param log2PError log2 of the probability, per value, of a wrong accumulator that was asked for
 * @param expectedBatch records expected in a block
 * @param costs what work was taken to cost when parameters were compared
 * @param segments clear segments
 * @param stages remote stages, each a round trip
 * @param padding what happens to padding, one sentence; null for a model without a padding mask
 * @param modules the remote modules
 */
public record CompileReport(
    int formatVersion,
    String model,
    String modelDigest,
    String clientId,
    double log2PError,
    int expectedBatch,
    CostConstants costs,
    int segments,
    int stages,
    String padding,
    List<Module> modules) {
  public CompileReport {
    modules = List.copyOf(modules);
  }

  /**
   * A remote module.
   *
   * @param module its key
   * @param stages the stages of its calls
   * @param dIn features
   * @param dOut outputs
   * @param weightBits bits of the weights
   * @param activationBits bits of the activations
   * @param quantization where the activations' scale comes from
   * @param calibratedRecords records that calibration saw at its input
   * @param maxActivation largest magnitude it saw
   * @param parameters of the circuit
   * @param lweDimension n = k·N
   * @param log2Modulus log2 of the ciphertext modulus q
   * @param log2FailureProbability log2 of a bound on the probability of a wrong accumulator
   * @param noiseMarginBits how many bits more noise that probability could bear, see {@link
   *     org.fhespark.compiler.parameters.FailureProbability}
   * @param bytesUpPerValue bytes sent for an activation, in a block of the expected batch
   * @param bytesDownPerValue bytes received for an output, in such a block
   * @param nanosecondsPerBlock the cost model's estimate for a block of the expected batch, all
   *     modules that share its parameters
   * @param nanosecondsPerRecord the same for each of its records, by place
   * @param coversWorstCase whether no record can need a coarser scale
   * @param policy what happens to records that exceed p bits
   * @param leakage what a client can learn about the weights
   * @param candidates sets of parameters that were compared by cost
   * @param why how the parameters were chosen
   * @param alternatives the next cheapest parameters
   */
  public record Module(
      String module,
      List<Integer> stages,
      int dIn,
      int dOut,
      int weightBits,
      int activationBits,
      QuantizationMode quantization,
      long calibratedRecords,
      float maxActivation,
      PackedParameters parameters,
      int lweDimension,
      int log2Modulus,
      double log2FailureProbability,
      double noiseMarginBits,
      double bytesUpPerValue,
      double bytesDownPerValue,
      double nanosecondsPerBlock,
      Cost nanosecondsPerRecord,
      boolean coversWorstCase,
      String policy,
      String leakage,
      int candidates,
      String why,
      List<ParameterChoice.Alternative> alternatives) {
    public Module {
      stages = List.copyOf(stages);
      alternatives = List.copyOf(alternatives);
    }
  }
}
