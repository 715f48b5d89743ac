package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.metrics.EvaluationAccumulators;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.CircuitRegistry;
import org.fhespark.udf.EvaluateBlocks;
import org.fhespark.udf.EvaluationKeySource;
import org.fhespark.udf.PublicKeyBytes;

/**
 * Circuits on the executors of a Spark context, in broadcasts, with the keys of clients that they
 * evaluate with; taken back on close.
 */
public final class SentCircuits implements AutoCloseable {
  private final JavaSparkContext spark;
  private final SentEvaluationKeys evaluationKeys;

  /** By the circuit's digest in hexadecimal, as the keys of those that need one. */
  private final Map<String, Broadcast<Circuit>> circuits = new HashMap<>();

  private final Map<String, EvaluationKeySource> keys = new HashMap<>();

  /** By the id of the client key. */
  private final Map<String, Broadcast<PublicKeyBytes>> publicKeys = new HashMap<>();

  /** What the broadcasts of {@link #publicKeys} hold, which a stopped context gives no more. */
  private final List<PublicKeyBytes> publicKeyBytes = new ArrayList<>();

  /** For a context, to whose executors circuits and keys will go; none is sent yet. */
  public SentCircuits(JavaSparkContext spark) {
    this.spark = spark;
    this.evaluationKeys = new SentEvaluationKeys(spark);
  }

  /** Sends a circuit. */
  public void send(Circuit circuit) {
    circuits.put(circuit.digest().hex(), spark.broadcast(circuit));
  }

  /**
   * Sends the evaluation key of a circuit; a key that several have goes once.
   *
   * @param circuit its digest in hexadecimal
   */
  public void sendKey(String circuit, EvaluationKeyFiles.Checked key) {
    keys.put(circuit, evaluationKeys.send(key));
  }

  /**
   * Sends a client's public key, for circuits that re-randomise results.
   *
   * @param clientKey id of the client key in hexadecimal
   */
  public void sendPublicKey(String clientKey, PublicKeyBytes key) {
    publicKeys.put(clientKey, spark.broadcast(key));
    publicKeyBytes.add(key);
  }

  /** The work of tasks on blocks of any of the circuits. */
  public EvaluateBlocks work() {
    return new EvaluateBlocks(circuits, keys, publicKeys);
  }

  /** The same for tasks of a job's last stage, which accumulators of the context count. */
  public EvaluateBlocks countedWork() {
    return work().counted(EvaluationAccumulators.of(spark.sc()));
  }

  /**
   * The work of tasks of a job's last stage on blocks of some circuits, which carries no more than
   * it needs; accumulators of the context count it.
   *
   * @param needed their digests in hexadecimal
   */
  EvaluateBlocks workOf(Set<String> needed) {
    return new EvaluateBlocks(only(needed, circuits), only(needed, keys), publicKeys)
        .counted(EvaluationAccumulators.of(spark.sc()));
  }

  private static <T> Map<String, T> only(Set<String> needed, Map<String, T> all) {
    Map<String, T> some = new HashMap<>(all);
    some.keySet().retainAll(needed);
    return some;
  }

  /** Takes all of it back, but for keys that went as files; closing twice does nothing. */
  @Override
  public void close() {
    // What tasks made ready in this JVM, as under a local master; executors release it when idle.
    CircuitRegistry.shared().giveUp(circuits.keySet(), keys.values(), publicKeyBytes);
    keys.clear();
    publicKeyBytes.clear();
    // A context that was stopped has no broadcasts left.
    if (spark.sc().isStopped()) {
      return;
    }
    // Spark waits for the removal of none on a thread that is interrupted.
    boolean isInterrupted = Thread.interrupted();
    try (evaluationKeys;
        Resources broadcasts = new Resources()) {
      // Blocking: a session that is stopped right after would log the removal's failure.
      circuits.values().forEach(circuit -> broadcasts.add(() -> circuit.destroy(true)));
      publicKeys.values().forEach(key -> broadcasts.add(() -> key.destroy(true)));
    } finally {
      circuits.clear();
      publicKeys.clear();
      if (isInterrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
