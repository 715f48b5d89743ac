package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.function.Consumer;
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
    try (result) {
      measure(
          sent,
          outputs -> {
            if (sent.slots().isPresent()) {
              sent.slots().get().decrypt(result.bytes(), sent.number(), sent.scales(), outputs);
            } else {
              LayerCipher cipher = sent.rows().layer().cipher();
              cipher.decrypt(result.bytes(), sent.number(), sent.scales(), cores, outputs);
            }
          });
    }
  }

  /** The same of the results of a block's parts, in order. */
  void decryptParts(SentRows sent, List<EncryptedBlock> results, int cores) {
    try {
      List<ByteBuffer> parts = results.stream().map(EncryptedBlock::bytes).toList();
      measure(
          sent,
          outputs ->
              sent.rows()
                  .layer()
                  .client()
                  .decryptParts(parts, sent.number(), sent.scales(), cores, outputs));
    } finally {
      results.forEach(EncryptedBlock::close);
    }
  }

  private void measure(SentRows sent, Consumer<OutputRows> decryption) {
    RemoteLayer layer = sent.rows().layer();
    measurements.valuesDown.add((long) sent.scales().length * layer.spec().dOut());
    try (var unused = measurements.time(Step.DECRYPT)) {
      decryption.accept(sent.rows().outputs());
    } catch (InvalidInputException error) {
      throw new InvalidInputException(
          "module " + layer.name() + ": the result cannot be used: " + error.getMessage(), error);
    }
  }
}
