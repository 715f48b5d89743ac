package org.fhespark.compiler.lookups;

import java.util.List;
import org.fhespark.compiler.parameters.FailureProbability;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.LookupNoise;
import org.fhespark.nativelib.LookupRanges;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;

/**
 * A module as a circuit with look-ups.
 *
 * @param module its key
 * @param inputs values of a row
 * @param recordShape the input's axes without the batch axis, if a row is a whole record; else null
 * @param outputShape the output's, in that case; else null
 * @param packed parameters of the packed layer
 * @param parameters of look-ups
 * @param norms of the packed layer's weights
 * @param quantization of a row
 * @param packedOutputs outputs of the packed layer
 * @param outputScales what a turn of the torus is worth, of each output
 * @param bias added to each output
 * @param weightBits bits of the integers that what a look-up gives is multiplied by
 * @param layers what is looked up, in order
 * @param ranges of the look-ups' arguments
 * @param noise predicted, of each step of the circuit
 * @param failure that this noise takes a value that calibration saw out of the range of its table,
 *     or an output to the other end of its range
 * @param millisecondsPerLookup predicted, on one core
 * @param candidates parameters that were looked at
 * @param circuit what the server gets
 */
public record CompiledLookups(
    String module,
    int inputs,
    List<Long> recordShape,
    List<Long> outputShape,
    PackedParameters packed,
    BootstrapParameters parameters,
    WeightNorms norms,
    Quantization quantization,
    int packedOutputs,
    double[] outputScales,
    float[] bias,
    int weightBits,
    List<Layer> layers,
    LookupRanges ranges,
    LookupNoise noise,
    FailureProbability failure,
    double millisecondsPerLookup,
    long candidates,
    byte[] circuit) {
  public CompiledLookups {
    layers = List.copyOf(layers);
  }

  /**
   * A layer of look-ups.
   *
   * @param tensor that it makes, or makes a part of
   * @param lookups of a row
   * @param range what half the range of its arguments is worth, the largest of them
   * @param deviation predicted noise of an argument, relative to its range
   * @param target what that may be at most
   * @param slope of the straight line that is computed beside the table
   * @param misfit root mean square of what the table cannot be, relative to the range
   */
  public record Layer(
      String tensor,
      int lookups,
      double range,
      double deviation,
      double target,
      double slope,
      double misfit) {}

  /** Outputs of a row. */
  public int outputs() {
    return outputScales.length;
  }

  /**
   * Predicted noise of an output, relative to the range it lies in, without what look-ups read
   * wrongly and pass on.
   */
  public double outputDeviation() {
    return noise.outputs() * FittedNetwork.OUTPUT_HEAD_ROOM;
  }

  /** Bytes sent for a row, without the mask's seed. */
  public double bytesUpPerRow() {
    return (double) inputs * packed.bodyLimbs();
  }

  /** Bytes received for a row. */
  public double bytesDownPerRow() {
    return (double) (parameters.lweDimension() + 1) * parameters.outputBytes() * outputs();
  }

  /** Look-ups of a row. */
  public int lookups() {
    return layers.stream().mapToInt(Layer::lookups).sum();
  }
}
