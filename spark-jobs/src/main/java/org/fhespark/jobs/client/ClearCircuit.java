package org.fhespark.jobs.client;

/** What a circuit makes of rows, computed in clear. */
interface ClearCircuit {
  /**
   * Writes the outputs of rows, and measures the steps that encryption, evaluation and decryption
   * would be.
   *
   * @throws org.fhespark.InvalidInputException naming module and record of a value that is not
   *     finite
   */
  void evaluate(RowBlock rows, Measurements measurements);
}
