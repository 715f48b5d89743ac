package org.fhespark.jobs.client;

import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.LeveledCircuit;
import org.fhespark.nativelib.LeveledClient;

/**
 * A leveled circuit in clear.
 *
 * @param isNoisy whether noise is drawn as the circuit's parameters make it
 */
record ClearLeveledCircuit(LeveledCircuit circuit, boolean isNoisy) implements ClearCircuit {
  @Override
  public void evaluate(RowBlock rows, Measurements measurements) {
    LeveledCipher cipher = (LeveledCipher) rows.layer().cipher();
    LeveledClient client = cipher.client();
    float[] factors = new float[rows.rows()];
    double[] records;
    try (var unused = measurements.time(Step.ENCRYPT)) {
      records = client.normalize(rows.inputs(), factors);
    } catch (InvalidInputException error) {
      throw rows.explain(error);
    }
    measurements.clampedRows.add(cipher.clamped(rows, factors));
    double[] results;
    try (var unused = measurements.time(Step.EVALUATE)) {
      results = circuit.evaluateInClear(records, isNoisy);
    }
    try (var unused = measurements.time(Step.DECRYPT)) {
      client.write(results, rows.outputs());
    }
  }
}
