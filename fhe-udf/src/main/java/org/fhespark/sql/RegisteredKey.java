package org.fhespark.sql;

import org.apache.spark.broadcast.Broadcast;
import org.fhespark.nativelib.EvaluationParameters;
import org.fhespark.udf.EvaluationKeyBytes;
import org.fhespark.udf.EvaluationKeySource;
import org.fhespark.udf.PublicKeyBytes;

/** What a client gave to evaluate its blocks with; no secret. */
public sealed interface RegisteredKey {
  /** Id of the client key it belongs to, in hexadecimal. */
  String key();

  /** What SQL calls its kind. */
  String kind();

  /** SHA-256 of its file, in hexadecimal. */
  String digest();

  /** Of its file. */
  long bytes();

  /** Its file, to be destroyed when it is dropped. */
  Broadcast<?> file();

  /**
   * An evaluation key, which circuits of modules with non-linearities need.
   *
   * @param key see {@link #key()}
   * @param parameters of the circuits that it is for
   * @param digest see {@link #digest()}
   * @param bytes see {@link #bytes()}
   * @param file see {@link #file()}
   */
  record Evaluation(
      String key,
      EvaluationParameters parameters,
      String digest,
      long bytes,
      Broadcast<EvaluationKeyBytes> file)
      implements RegisteredKey {
    @Override
    public String kind() {
      return "evaluation";
    }

    EvaluationKeySource source() {
      return new EvaluationKeySource.InBroadcast(digest, file);
    }
  }

  /**
   * A public key, which circuits that re-randomise results need.
   *
   * @param key see {@link #key()}
   * @param digest see {@link #digest()}
   * @param bytes see {@link #bytes()}
   * @param file see {@link #file()}
   */
  record Public(String key, String digest, long bytes, Broadcast<PublicKeyBytes> file)
      implements RegisteredKey {
    @Override
    public String kind() {
      return "public";
    }
  }
}
