package org.fhespark.jobs.client;

import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.OutputRows;
import org.fhespark.udf.EncryptedBlock;

/** Decrypts and dequantises what became of encrypted rows, and measures it. */
final class RowDecryption {
  private final Measurements measurements;

  RowDecryption(Measurements measurements) {
    this.measurements = measurements;
  }

  /** Decrypts a result, writes the outputs of its rows and closes it. */
  void decrypt(SentRows sent, EncryptedBlock result, int cores) {
    RemoteLayer layer = sent.rows().layer();
    measurements.valuesDown.add((long) sent.scales().length * layer.spec().dOut());
    try (result;
        var unused = measurements.time(Step.DECRYPT)) {
      OutputRows outputs = sent.rows().outputs();
      if (sent.slots().isPresent()) {
        sent.slots().get().decrypt(result.bytes(), sent.number(), sent.scales(), outputs);
      } else {
        layer.decrypt(result.bytes(), sent.number(), sent.scales(), cores, outputs);
      }
    } catch (InvalidInputException error) {
      throw new InvalidInputException(
          "module " + layer.name() + ": the result cannot be used: " + error.getMessage(), error);
    }
  }
}
