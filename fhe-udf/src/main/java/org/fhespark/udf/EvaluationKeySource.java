package org.fhespark.udf;

import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import org.apache.spark.SparkFiles;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.EvaluationKey;
import org.fhespark.nativelib.EvaluationParameters;

/** Where an executor finds the bytes of an evaluation key. */
public sealed interface EvaluationKeySource extends Serializable {
  /** SHA-256 of the file, in hexadecimal. */
  String digest();

  /**
   * Makes it ready in native memory.
   *
   * @param keyId of the client key that blocks are under, in hexadecimal
   * @param parameters of the circuit
   * @param threads threads to use at most
   * @throws org.fhespark.InvalidInputException if the bytes are others than {@link #digest} names,
   *     no evaluation key, damaged, or of another client key or other parameters
   * @throws UncheckedIOException if this executor cannot read it
   */
  EvaluationKey expand(String keyId, EvaluationParameters parameters, int threads);

  /**
   * In a broadcast, which travels in chunks from executor to executor and lies on their heaps.
   *
   * @param digest of its bytes
   * @param bytes the key's file
   */
  record InBroadcast(String digest, Broadcast<EvaluationKeyBytes> bytes)
      implements EvaluationKeySource {
    @Override
    public EvaluationKey expand(String keyId, EvaluationParameters parameters, int threads) {
      return EvaluationKey.expand(
          bytes.value().file(), expected(digest, keyId, parameters), threads);
    }
  }

  /**
   * In a file that was added to the Spark context; it is mapped, so no heap holds it.
   *
   * @param digest of its bytes
   * @param name that it was added by
   */
  record InFile(String digest, String name) implements EvaluationKeySource {
    @Override
    public EvaluationKey expand(String keyId, EvaluationParameters parameters, int threads) {
      Path file = Path.of(SparkFiles.get(name));
      try (FileChannel channel = FileChannel.open(file)) {
        MappedByteBuffer bytes = channel.map(MapMode.READ_ONLY, 0, channel.size());
        return EvaluationKey.expand(bytes, expected(digest, keyId, parameters), threads);
      } catch (IOException error) {
        throw new UncheckedIOException(
            "evaluation key: the executor cannot read "
                + file
                + ", which the driver added to the job: "
                + error.getMessage(),
            error);
      }
    }
  }

  /** What the driver sent, if it is for these blocks and circuits. */
  private static EvaluationKey.Description expected(
      String digest, String keyId, EvaluationParameters parameters) {
    return new EvaluationKey.Description(keyId, parameters, CircuitDigest.parse(digest));
  }
}
