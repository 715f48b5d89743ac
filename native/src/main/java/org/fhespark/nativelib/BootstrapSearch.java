package org.fhespark.nativelib;

import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;

/**
 * Finds the secure parameters of a circuit with look-ups that are predicted to take the least time,
 * given how much noise it bears. Noise and security are those of tfhe-rs's published formulas
 * ({@code core_crypto::commons::noise_formulas}, 132 bits).
 */
public final class BootstrapSearch {
  private BootstrapSearch() {}

  /**
   * Noise that is borne at one place.
   *
   * @param amplification of the noise that comes there
   * @param variance the most it may be there, relative to the torus; for a look-up the keyswitch
   *     and the rounding to its table are counted in, for outputs the keyswitch and the rounding of
   *     the results
   */
  public record Target(Amplification amplification, double variance) {}

  /**
   * What parameters are wanted for.
   *
   * @param lookups a target for each step of look-ups
   * @param outputs the target of the outputs
   * @param messageBits p of the packed layer
   * @param inputs d_in
   * @param packedOutputs outputs of the packed layer
   * @param outputCount outputs of the circuit, a record
   * @param lookupCount look-ups, a record
   */
  public record Request(
      List<Target> lookups,
      Target outputs,
      int messageBits,
      int inputs,
      int packedOutputs,
      int outputCount,
      long lookupCount) {}

  /**
   * What was found.
   *
   * @param packed parameters of the packed layer
   * @param parameters of the look-ups
   * @param lookupDeviations predicted standard deviations of what each step of look-ups reads
   * @param outputDeviation the same of the outputs
   * @param millisecondsPerLookup predicted, on one core of the machine that the time model was
   *     fitted on, in batches
   * @param evaluationKeyBytes size of the evaluation key's file
   * @param candidates combinations of parameters that were looked at
   */
  public record Choice(
      PackedParameters packed,
      BootstrapParameters parameters,
      List<Double> lookupDeviations,
      double outputDeviation,
      double millisecondsPerLookup,
      long evaluationKeyBytes,
      long candidates) {}

  /**
   * Searches.
   *
   * @throws org.fhespark.InvalidInputException if no parameters reach a target; the message names
   *     it and what can be reached
   */
  public static Choice search(Request request) {
    long[] shape = {
      request.messageBits(),
      request.inputs(),
      request.packedOutputs(),
      request.outputCount(),
      request.lookupCount()
    };
    double[] targets =
        DoubleStream.concat(
                request.lookups().stream().flatMapToDouble(BootstrapSearch::fields),
                fields(request.outputs()))
            .toArray();
    NativeLibrary.load();
    double[] found = FheNative.searchBootstrap(shape, targets);
    int packed = PackedParameters.FIELDS;
    int figures = packed + BootstrapParameters.FIELDS;
    int[] parameters = Arrays.stream(found, 0, figures).mapToInt(field -> (int) field).toArray();
    BootstrapParameters bootstrap =
        BootstrapParameters.of(Arrays.copyOfRange(parameters, packed, figures));
    int last = found.length - 1;
    return new Choice(
        PackedParameters.of(parameters),
        bootstrap,
        Arrays.stream(found, figures + 2, last).boxed().toList(),
        found[last],
        found[figures],
        bootstrap.evaluationKeyBytes(),
        (long) found[figures + 1]);
  }

  private static DoubleStream fields(Target target) {
    Amplification amplification = target.amplification();
    return DoubleStream.of(amplification.packed(), amplification.lookups(), target.variance());
  }
}
