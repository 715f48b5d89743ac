package org.fhespark.jobs.client;

import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.ModuleClient;

/** A circuit of integer weights and activations, packed or with look-ups, in clear. */
record ClearIntegerCircuit(Product product) implements ClearCircuit {
  /** How integer activations {@code [T][dIn]} become accumulators, or phases, {@code [T][dOut]}. */
  @FunctionalInterface
  interface Product {
    long[] of(ModuleClient client, int[] activations);
  }

  @Override
  public void evaluate(RowBlock rows, Measurements measurements) {
    IntegerCipher cipher = rows.layer().integers();
    ModuleClient client = cipher.client();
    float[] scales = new float[rows.rows()];
    int[] activations;
    try (var unused = measurements.time(Step.ENCRYPT)) {
      activations = client.quantize(rows.inputs(), scales);
    } catch (InvalidInputException error) {
      throw rows.explain(error);
    }
    long[] results;
    try (var unused = measurements.time(Step.EVALUATE)) {
      results = product.of(client, activations);
    }
    try (var unused = measurements.time(Step.DECRYPT)) {
      cipher.dequantize(results, scales, rows.outputs());
    }
  }
}
