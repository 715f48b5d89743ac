package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.EvaluationParameters;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;

/**
 * One call of a circuit, as the client sees it. Modules that read the same tensors are stacked to
 * one circuit, so that one encryption and one Spark job serve them all; the others have a circuit
 * each.
 *
 * @param circuit the circuit's name: its module's key, or the keys of all its modules, joined by
 *     {@code +}
 * @param stage remote stages run one after another, from 0
 * @param input the tensor it reads, {@code [.., dIn]} or what the unfolding says
 * @param unfolding how rows are made of a convolution's input; null if a row is the last axis
 * @param outputs what its modules make, in the order of the circuit's outputs; columns add up to
 *     dOut
 * @param skipsPadding whether rows that the padding mask leaves out need no work; the first two
 *     axes of {@code input} are then those of the mask
 * @param dIn values of a row that it reads
 * @param dOut values of a row that it makes
 * @param circuitDigest SHA-256 of the server's circuit, in hexadecimal
 * @param parameters of blocks and results
 * @param norms norms of the integer weights
 * @param quantization of the activations that it reads
 * @param weightScales scale of each output's weights, {@code [dOut]}
 * @param bias added after dequantisation, {@code [dOut]}; null if no module has one
 * @param weightBits bits of the weights
 * @param log2FailureProbability log2 of a bound on the probability of a wrong accumulator; with
 *     look-ups, which read with an error, of the probability that the circuit's own noise takes a
 *     value that calibration saw out of the range of its table, or an output to the other end
 * @param noiseMarginBits see {@link org.fhespark.compiler.parameters.FailureProbability}
 * @param lookups what a circuit with look-ups has besides; null for a packed one. Such a circuit is
 *     of one module, its quantisation is static, dOut counts what the look-ups make, {@code
 *     parameters} and {@code norms} are of its packed layer, and {@code weightScales} are of no use
 * @param leveled what a leveled circuit has in place of {@code parameters}, {@code norms}, {@code
 *     quantization}, {@code weightScales} and {@code bias}, which then are null; null for others
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record RemoteCallSpec(
    String circuit,
    int stage,
    String input,
    Unfolding unfolding,
    List<CallOutput> outputs,
    boolean skipsPadding,
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
    double noiseMarginBits,
    LookupSpec lookups,
    LeveledSpec leveled) {
  public RemoteCallSpec {
    outputs = List.copyOf(outputs);
    for (Object field : new Object[] {circuit, input, circuitDigest}) {
      Objects.requireNonNull(field);
    }
    boolean isLeveled = leveled != null;
    for (Object field : new Object[] {parameters, norms, quantization, weightScales}) {
      if ((field == null) != isLeveled) {
        throw new IllegalArgumentException("a call is of integers or leveled");
      }
    }
    if (isLeveled && (lookups != null || leveled.outputRanges().length != dOut)) {
      throw new IllegalArgumentException("a leveled call has a range for each output, no look-ups");
    }
    if (stage < 0) {
      throw new IllegalArgumentException("stage " + stage);
    }
    if (lookups != null && lookups.outputScales().length != dOut) {
      throw new IllegalArgumentException("a scale for each output belongs here");
    }
  }

  /** Whether its circuit looks values up. */
  public boolean hasLookups() {
    return lookups != null;
  }

  /** Whether its circuit is leveled. */
  public boolean isLeveled() {
    return leveled != null;
  }

  /** Whether its circuit is a packed linear layer and nothing else. */
  public boolean isPacked() {
    return lookups == null && leveled == null;
  }

  /** Those that the evaluation key must serve; empty if the circuit takes none. */
  public Optional<EvaluationParameters> keyParameters() {
    return isLeveled()
        ? Optional.of(leveled.parameters())
        : Optional.ofNullable(lookups).map(LookupSpec::parameters);
  }

  /** Whether executors re-randomise its results. */
  public boolean protectsWeights() {
    return parameters != null && parameters.protectsWeights();
  }

  /** The axes of a record that is a row, and of what is made of it; empty if rows are an axis. */
  public Optional<RecordShapes> recordShapes() {
    if (lookups != null && lookups.readsRecords()) {
      return Optional.of(new RecordShapes(lookups.recordShape(), lookups.outputShape()));
    }
    if (leveled != null && leveled.recordShape() != null) {
      return Optional.of(new RecordShapes(leveled.recordShape(), leveled.outputShape()));
    }
    return Optional.empty();
  }

  /**
   * Axes without the batch axis.
   *
   * @param input of a record
   * @param output of what is made of it
   */
  public record RecordShapes(List<Long> input, List<Long> output) {}

  /**
   * What the native client needs to encrypt, and to decrypt results of a packed circuit. Of a
   * circuit with look-ups, outputs are those of its packed layer; a leveled circuit has no such.
   */
  public ModuleSpec moduleSpec() {
    if (lookups != null) {
      float[] ones = new float[lookups.packedOutputs()];
      Arrays.fill(ones, 1f);
      return new ModuleSpec(
          CircuitDigest.parse(circuitDigest),
          parameters,
          dIn,
          lookups.packedOutputs(),
          norms,
          quantization,
          ones,
          new float[0]);
    }
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
