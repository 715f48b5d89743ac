package org.fhespark.jobs.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;
import org.fhespark.udf.EvaluationKeyBytes;
import org.fhespark.udf.EvaluationKeySource;

/**
 * Evaluation keys on their way to the executors: in broadcasts, or as files of the Spark context if
 * they are large.
 */
final class SentEvaluationKeys implements AutoCloseable {
  /** Largest evaluation key that is broadcast, as Spark writes sizes; others go as files. */
  static final String BROADCAST_LIMIT = "spark.fhe.evaluationKey.broadcastLimit";

  private static final String DEFAULT_LIMIT = "256m";

  private final JavaSparkContext spark;
  private final long broadcastLimit;
  private final Map<String, EvaluationKeySource> sources = new HashMap<>();
  private final Resources broadcasts = new Resources();

  SentEvaluationKeys(JavaSparkContext spark) {
    this.spark = spark;
    this.broadcastLimit = spark.getConf().getSizeAsBytes(BROADCAST_LIMIT, DEFAULT_LIMIT);
  }

  /** Sends a key, once. */
  EvaluationKeySource send(EvaluationKeyFiles.Checked key) {
    return sources.computeIfAbsent(
        key.digest(), digest -> key.bytes() <= broadcastLimit ? broadcast(key) : addFile(key));
  }

  private EvaluationKeySource broadcast(EvaluationKeyFiles.Checked key) {
    byte[] bytes;
    try {
      bytes = Files.readAllBytes(key.file());
    } catch (IOException error) {
      throw unreadable(key, error);
    }
    Broadcast<EvaluationKeyBytes> sent = spark.broadcast(new EvaluationKeyBytes(bytes));
    // Blocking: a session that is stopped right after would log the removal's failure.
    broadcasts.add(() -> sent.destroy(true));
    return new EvaluationKeySource.InBroadcast(key.digest(), sent);
  }

  /** Spark serves a file by its name, so the name tells its content. */
  private EvaluationKeySource addFile(EvaluationKeyFiles.Checked key) {
    String name = "fhe-spark-" + key.digest() + ".evaluation.key";
    if (spark.sc().listFiles().exists(file -> file.endsWith("/" + name))) {
      return new EvaluationKeySource.InFile(key.digest(), name);
    }
    try {
      spark.addFile(linkOrCopy(key.file(), name).toString());
    } catch (IOException error) {
      throw unreadable(key, error);
    }
    return new EvaluationKeySource.InFile(key.digest(), name);
  }

  /**
   * The same file under another name, for as long as this process lasts; new executors ask for it.
   */
  private static Path linkOrCopy(Path file, String name) throws IOException {
    Path folder = Files.createTempDirectory("fhe-spark-evaluation-key-");
    folder.toFile().deleteOnExit();
    Path named = folder.resolve(name);
    named.toFile().deleteOnExit();
    try {
      // Spark follows symbolic links, and takes the name at their end.
      Files.createLink(named, file.toRealPath());
    } catch (IOException | UnsupportedOperationException otherFileSystem) {
      Files.copy(file, named);
    }
    return named;
  }

  private static InvalidInputException unreadable(
      EvaluationKeyFiles.Checked key, IOException error) {
    return new InvalidInputException(
        key.file() + ": cannot be sent to the executors: " + error.getMessage(), error);
  }

  /** Takes broadcasts back; files stay as long as the Spark context. */
  @Override
  public void close() {
    broadcasts.close();
  }
}
