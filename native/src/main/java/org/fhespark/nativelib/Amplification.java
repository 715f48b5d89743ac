package org.fhespark.nativelib;

import java.util.ArrayList;
import java.util.List;

/**
 * How far noise is amplified on its way to values of a circuit with look-ups, whatever its
 * parameters: the variance is so many times that of a fresh encryption, and so many times that of a
 * look-up's result.
 *
 * @param packed sum of squares that the variance of a fresh encryption is multiplied with
 * @param lookups sum of squares that the variance of a look-up's result is multiplied with
 */
public record Amplification(double packed, double lookups) {
  /**
   * Of a circuit.
   *
   * @param packed the largest of the packed layer's outputs
   * @param steps the largest of each step's values; for a look-up of what it reads, with its factor
   * @param outputs the largest of the outputs
   */
  public record OfCircuit(Amplification packed, List<Amplification> steps, Amplification outputs) {}

  /**
   * Amplifications through a circuit.
   *
   * @param inputs d_in
   * @param weights integers of the packed layer {@code [packedOutputs][d_in]}, row-major
   * @param outputs the values that are the result
   * @throws org.fhespark.InvalidInputException if a step reads a value that is not there
   */
  public static OfCircuit ofCircuit(
      int inputs, byte[] weights, List<LookupStep> steps, int[] outputs) {
    StepStreams streams = StepStreams.of(steps);
    NativeLibrary.load();
    double[] fields =
        FheNative.amplifications(inputs, weights, streams.integers(), streams.words(), outputs);
    List<Amplification> all = new ArrayList<>();
    for (int i = 0; i < fields.length; i += 2) {
      all.add(new Amplification(fields[i], fields[i + 1]));
    }
    int last = all.size() - 1;
    return new OfCircuit(all.get(0), List.copyOf(all.subList(1, last)), all.get(last));
  }
}
