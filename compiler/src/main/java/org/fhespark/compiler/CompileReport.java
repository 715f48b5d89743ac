package org.fhespark.compiler;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.leveled.LeveledFigures;
import org.fhespark.compiler.lookups.CompiledLookups;
import org.fhespark.compiler.modules.ModuleKind;
import org.fhespark.compiler.parameters.Cost;
import org.fhespark.compiler.parameters.CostConstants;
import org.fhespark.compiler.parameters.ParameterChoice;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.LeveledParameters;
import org.fhespark.nativelib.LookupNoise;
import org.fhespark.nativelib.PackedParameters;

/**
 * What a compilation did: the contents of report.json, and of report.html.
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
 * @param unchecked what was not checked for want of records, a sentence each; empty with records
 * @param graph the split model
 * @param modules the remote modules that are packed
 * @param lookups the remote modules with look-ups
 * @param leveled the remote modules on encrypted numbers
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
    List<String> unchecked,
    SplitGraph graph,
    List<Module> modules,
    List<LookupModule> lookups,
    List<LeveledModule> leveled) {
  public CompileReport {
    unchecked = List.copyOf(unchecked);
    modules = List.copyOf(modules);
    lookups = List.copyOf(lookups);
    leveled = List.copyOf(leveled);
  }

  /** Remote modules of all kinds. */
  public int moduleCount() {
    return modules.size() + lookups.size() + leveled.size();
  }

  /**
   * A remote module.
   *
   * @param module its key
   * @param circuit the circuit that computes it, with others that read the same rows
   * @param kind what it is
   * @param stages the stages of its calls
   * @param dIn features
   * @param dOut outputs
   * @param weightBits bits of the weights
   * @param activationBits bits of the activations
   * @param quantization where the activations' scale comes from
   * @param rowsPerRecord rows of its input that a record makes on average: tokens, windows
   * @param calibratedRecords rows that calibration saw at its input
   * @param maxActivation largest magnitude it saw
   * @param parameters of the circuit
   * @param lweDimension n = k·N
   * @param log2Modulus log2 of the ciphertext modulus q
   * @param log2FailureProbability log2 of a bound on the probability of a wrong accumulator
   * @param noiseMarginBits how many bits more noise that probability could bear, see {@link
   *     org.fhespark.compiler.parameters.FailureProbability}
   * @param bytesUpPerValue bytes sent for an activation, in a block of the expected batch
   * @param bytesDownPerValue bytes received for an output, in such a block
   * @param bytesUpPerRecord bytes sent for a record and call, shared with the circuit's other
   *     modules
   * @param bytesDownPerRecord bytes received for a record and call, of this module alone
   * @param nanosecondsPerBlock the cost model's estimate for a block of the expected batch, all
   *     modules that share its parameters
   * @param nanosecondsPerRecord of the circuit for each record and call, by place
   * @param coversWorstCase whether no record can need a coarser scale
   * @param policy what happens to records that exceed p bits
   * @param leakage what a client can learn about the weights
   * @param candidates sets of parameters that were compared by cost
   * @param why how the parameters were chosen
   * @param alternatives the next cheapest parameters
   * @param weightErrors of each output's weights, the RMS error that quantisation makes, relative
   *     to their RMS
   * @param inputs what calibration saw at each of the tensors that it reads
   */
  public record Module(
      String module,
      String circuit,
      ModuleKind kind,
      List<Integer> stages,
      int dIn,
      int dOut,
      int weightBits,
      int activationBits,
      QuantizationMode quantization,
      double rowsPerRecord,
      long calibratedRecords,
      float maxActivation,
      PackedParameters parameters,
      int lweDimension,
      int log2Modulus,
      double log2FailureProbability,
      double noiseMarginBits,
      double bytesUpPerValue,
      double bytesDownPerValue,
      double bytesUpPerRecord,
      double bytesDownPerRecord,
      double nanosecondsPerBlock,
      Cost nanosecondsPerRecord,
      boolean coversWorstCase,
      String policy,
      String leakage,
      int candidates,
      String why,
      List<ParameterChoice.Alternative> alternatives,
      Histogram weightErrors,
      List<CalibratedInput> inputs) {
    public Module {
      stages = List.copyOf(stages);
      alternatives = List.copyOf(alternatives);
      inputs = List.copyOf(inputs);
    }
  }

  /**
   * A remote module with look-ups.
   *
   * @param module its key
   * @param engine why it is one
   * @param stages the stages of its calls
   * @param dIn values of a row
   * @param dOut outputs of a row
   * @param packedOutputs outputs of its packed layer
   * @param lookups look-ups of a row
   * @param weightBits bits of the integers that what a look-up gives is multiplied by; the packed
   *     layer's have 8
   * @param activationBits bits of a row's integers
   * @param scale of a row's integers
   * @param rowsPerRecord rows that a record makes on average: tokens
   * @param calibratedRows rows that calibration saw
   * @param maxActivation largest magnitude it saw
   * @param packed parameters of the packed layer
   * @param parameters of look-ups
   * @param lookupError noise that was asked for, relative to the range of values
   * @param layers what is looked up, in order
   * @param noise predicted standard deviations through the circuit, relative to the torus
   * @param outputDeviation predicted noise of an output, relative to the range it lies in
   * @param millisecondsPerLookup predicted, on one core
   * @param millisecondsPerRecord the same of all look-ups of a record
   * @param evaluationKeyBytes the evaluation key's file, which all modules with look-ups share
   * @param bytesUpPerRecord sent for a record and call, without the mask's seed
   * @param bytesDownPerRecord received for a record and call
   * @param candidates sets of parameters that were looked at
   * @param leakage what a client can learn about the weights
   */
  public record LookupModule(
      String module,
      EngineChoice engine,
      List<Integer> stages,
      int dIn,
      int dOut,
      int packedOutputs,
      int lookups,
      int weightBits,
      int activationBits,
      float scale,
      double rowsPerRecord,
      long calibratedRows,
      float maxActivation,
      PackedParameters packed,
      BootstrapParameters parameters,
      double lookupError,
      List<CompiledLookups.Layer> layers,
      LookupNoise noise,
      double outputDeviation,
      double millisecondsPerLookup,
      double millisecondsPerRecord,
      long evaluationKeyBytes,
      double bytesUpPerRecord,
      double bytesDownPerRecord,
      long candidates,
      String leakage) {
    public LookupModule {
      stages = List.copyOf(stages);
      layers = List.copyOf(layers);
    }
  }

  /**
   * A remote module with non-linearities that is computed on encrypted numbers, many rows at a
   * time.
   *
   * @param module its key
   * @param engine why it is one
   * @param stages the stages of its calls
   * @param dIn values of a row
   * @param dOut outputs of a row
   * @param rowsPerRecord rows that a record makes on average: tokens
   * @param calibratedRows rows that calibration saw
   * @param maxActivation largest magnitude it saw
   * @param radius of the ball of rows that it is made for, in units of their spread
   * @param parameters of the ring
   * @param log2Modulus log2 of the largest modulus, that of evaluation keys
   * @param log2SecureModulus log2 of the largest modulus of this ring with 128-bit security
   * @param layers activations, in order
   * @param error root mean square error of outputs, relative to their spread, on calibration rows
   *     that nothing was fitted to
   * @param allowedError that was asked for
   * @param log2FailureProbability log2 of a bound on the probability that noise takes what an
   *     activation reads out of its range
   * @param millisecondsPerBlock predicted, on one core, however full the block
   * @param millisecondsPerRecord the same, of a record of the expected batch
   * @param evaluationKeyBytes the evaluation key's file, which modules on the same ring share
   * @param bytesUpPerBlock sent for a block
   * @param bytesDownPerBlock received for a block
   * @param bytesUpPerRecord sent for a record of the expected batch and call
   * @param bytesDownPerRecord received for it
   * @param candidates polynomials of all layers that were looked at
   * @param leakage what a client can learn about the weights
   */
  public record LeveledModule(
      String module,
      EngineChoice engine,
      List<Integer> stages,
      int dIn,
      int dOut,
      double rowsPerRecord,
      long calibratedRows,
      float maxActivation,
      double radius,
      LeveledParameters parameters,
      int log2Modulus,
      int log2SecureModulus,
      List<LeveledFigures> layers,
      double error,
      double allowedError,
      double log2FailureProbability,
      double millisecondsPerBlock,
      double millisecondsPerRecord,
      long evaluationKeyBytes,
      long bytesUpPerBlock,
      long bytesDownPerBlock,
      double bytesUpPerRecord,
      double bytesDownPerRecord,
      long candidates,
      String leakage) {
    public LeveledModule {
      stages = List.copyOf(stages);
      layers = List.copyOf(layers);
    }
  }

  /**
   * What calibration saw at a tensor that a remote module reads.
   *
   * @param tensor its name
   * @param rows seen
   * @param maxActivation largest magnitude seen
   * @param scale that all rows share; null if each has its own
   * @param rowMaxima the largest magnitude of each row that is not all zero, of a sample
   * @param estimatedErrors an estimate of the RMS error that quantisation to the activation bits
   *     makes of each such row, relative to its RMS; null if the model itself quantises the tensor
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record CalibratedInput(
      String tensor,
      long rows,
      float maxActivation,
      Float scale,
      Histogram rowMaxima,
      Histogram estimatedErrors) {}
}
