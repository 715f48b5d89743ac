package org.fhespark.udf;

import java.io.IOException;
import java.io.Serializable;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import org.apache.spark.SparkFiles;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.EvaluationKey;

/** Where an executor finds the bytes of an evaluation key. */
public sealed interface EvaluationKeySource extends Serializable {
  /** SHA-256 of the file, in hexadecimal. */
  String digest();

  /**
   * Makes it ready in native memory, on up to so many threads.
   *
   * @throws InvalidInputException if the bytes are no evaluation key, or damaged
   */
  EvaluationKey expand(int threads);

  /**
   * In a broadcast, which travels in chunks from executor to executor and lies on their heaps.
   *
   * @param digest of its bytes
   */
  record InBroadcast(String digest, Broadcast<EvaluationKeyBytes> bytes)
      implements EvaluationKeySource {
    @Override
    public EvaluationKey expand(int threads) {
      return EvaluationKey.expand(bytes.value().file(), threads);
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
    public EvaluationKey expand(int threads) {
      Path file = Path.of(SparkFiles.get(name));
      try (FileChannel channel = FileChannel.open(file)) {
        MappedByteBuffer bytes = channel.map(MapMode.READ_ONLY, 0, channel.size());
        return EvaluationKey.expand(bytes, threads);
      } catch (IOException error) {
        throw new InvalidInputException(
            "evaluation key: the executor cannot read "
                + file
                + ", which the driver added to the job: "
                + error.getMessage(),
            error);
      }
    }
  }

  /** The same, and checked to be what {@link #digest} names. */
  default EvaluationKey expandChecked(int threads) {
    EvaluationKey key = expand(threads);
    if (!key.digest().equals(CircuitDigest.parse(digest()))) {
      key.close();
      throw new InvalidInputException(
          "evaluation key: the executor got another than the driver sent: SHA-256 "
              + key.digest()
              + ", expected "
              + digest());
    }
    return key;
  }
}
