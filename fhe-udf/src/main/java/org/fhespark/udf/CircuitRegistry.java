package org.fhespark.udf;

import java.time.Duration;
import java.util.Collection;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.EvaluationKey;
import org.fhespark.nativelib.EvaluationParameters;
import org.fhespark.nativelib.KeyedCircuit;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PublicKey;

/**
 * The prepared circuits and expanded evaluation keys of this JVM: made when a task first needs one,
 * shared by all tasks, released when no task has used one for a while, or the session that they are
 * of ends in this JVM.
 */
public final class CircuitRegistry {
  /** How long what is unused stays prepared; the waves of one job are closer together. */
  static final Duration IDLE_LIMIT = Duration.ofMinutes(2);

  /** How often in that time it is looked for what is unused. */
  private static final int LOOKS = 8;

  private static final CircuitRegistry SHARED = new CircuitRegistry(System::nanoTime);

  static {
    releaseNowAndThen(SHARED);
  }

  private final SharedHandles<PackedCircuit> packed;
  private final SharedHandles<KeyedCircuit> keyed;
  private final SharedHandles<EvaluationKey> keys;
  private final SharedHandles<PublicKey> publicKeys;

  CircuitRegistry(LongSupplier nanoTime) {
    this.packed = new SharedHandles<>(IDLE_LIMIT, nanoTime);
    this.keyed = new SharedHandles<>(IDLE_LIMIT, nanoTime);
    this.keys = new SharedHandles<>(IDLE_LIMIT, nanoTime);
    this.publicKeys = new SharedHandles<>(IDLE_LIMIT, nanoTime);
  }

  /** The registry of this JVM. */
  public static CircuitRegistry shared() {
    return SHARED;
  }

  /** An executor that has no tasks any more keeps nothing: keys are large. */
  private static void releaseNowAndThen(CircuitRegistry registry) {
    ScheduledExecutorService timer =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "fhe-spark-registry");
              thread.setDaemon(true);
              return thread;
            });
    long seconds = IDLE_LIMIT.toSeconds() / LOOKS;
    timer.scheduleWithFixedDelay(registry::releaseIdle, seconds, seconds, TimeUnit.SECONDS);
  }

  /** The use of a circuit, and of the evaluation or public key if it needs one, by one task. */
  public interface Lease extends AutoCloseable {
    /** Evaluates blocks; valid until the lease is closed. */
    BlockEvaluation evaluation();

    @Override
    void close();
  }

  /**
   * Borrows a packed circuit; the caller closes the lease, the circuit stays.
   *
   * @throws org.fhespark.InvalidInputException if the circuit's bytes are damaged
   */
  public Lease acquire(Circuit circuit) {
    return new PackedLease(
        packed.acquire(circuit.digest(), () -> PackedCircuit.open(circuit.file())));
  }

  /**
   * Borrows a packed circuit and the public key to re-randomise its results with; the caller closes
   * the lease.
   *
   * @throws org.fhespark.InvalidInputException if the bytes of circuit or key are damaged
   */
  public Lease acquire(Circuit circuit, PublicKeyBytes key) {
    SharedHandles.Lease<PackedCircuit> opened =
        packed.acquire(circuit.digest(), () -> PackedCircuit.open(circuit.file()));
    try {
      return new ProtectedLease(
          opened, publicKeys.acquire(key.digest(), () -> PublicKey.open(key.file())));
    } catch (Throwable error) {
      opened.close();
      throw error;
    }
  }

  /**
   * Borrows a circuit that takes an evaluation key, and that key; the caller closes the lease.
   *
   * @param keyId of the client key that blocks are under, in hexadecimal
   * @param threads to expand the key with, if it is not yet
   * @throws org.fhespark.InvalidInputException if the bytes of circuit or key are damaged, or the
   *     key is not for these blocks or this circuit
   */
  public Lease acquire(Circuit circuit, EvaluationKeySource source, String keyId, int threads) {
    SharedHandles.Lease<KeyedCircuit> opened =
        keyed.acquire(circuit.digest(), () -> KeyedCircuit.open(circuit.file()));
    try {
      CircuitDigest digest = CircuitDigest.parse(source.digest());
      EvaluationParameters parameters = opened.value().parameters();
      return new KeyedLease(
          opened, keys.acquire(digest, () -> source.expand(keyId, parameters, threads)));
    } catch (Throwable error) {
      opened.close();
      throw error;
    }
  }

  /** Circuits prepared now. */
  public int size() {
    return packed.size() + keyed.size();
  }

  /** Native memory that prepared circuits hold now. */
  public long circuitBytes() {
    return packed.sum(PackedCircuit::memoryBytes) + keyed.sum(KeyedCircuit::memoryBytes);
  }

  /** Evaluation keys expanded now. */
  public int evaluationKeys() {
    return keys.size();
  }

  /** Native memory that expanded evaluation keys hold now. */
  public long evaluationKeyBytes() {
    return keys.sum(EvaluationKey::memoryBytes);
  }

  /** Tasks that use a circuit now. */
  int users(Circuit circuit) {
    return packed.users(circuit.digest()) + keyed.users(circuit.digest());
  }

  /** Releases what nobody uses and nobody has used for {@link #IDLE_LIMIT}. */
  void releaseIdle() {
    packed.releaseIdle();
    keyed.releaseIdle();
    keys.releaseIdle();
    publicKeys.releaseIdle();
  }

  /**
   * Releases circuits and expanded keys now, or when the last of the tasks that use them now ends:
   * for a session that ends and whose tasks ran in this JVM. A task that was killed may end later.
   *
   * @param circuits their digests, in hexadecimal
   * @param evaluationKeys theirs
   * @param clientKeys public keys
   */
  public void giveUp(
      Collection<String> circuits,
      Collection<EvaluationKeySource> evaluationKeys,
      Collection<PublicKeyBytes> clientKeys) {
    for (String circuit : circuits) {
      packed.giveUp(CircuitDigest.parse(circuit));
      keyed.giveUp(CircuitDigest.parse(circuit));
    }
    for (EvaluationKeySource key : evaluationKeys) {
      keys.giveUp(CircuitDigest.parse(key.digest()));
    }
    clientKeys.forEach(key -> publicKeys.giveUp(key.digest()));
  }

  private record PackedLease(SharedHandles.Lease<PackedCircuit> circuit) implements Lease {
    @Override
    public BlockEvaluation evaluation() {
      return circuit.value()::evaluate;
    }

    @Override
    public void close() {
      circuit.close();
    }
  }

  private record ProtectedLease(
      SharedHandles.Lease<PackedCircuit> circuit, SharedHandles.Lease<PublicKey> key)
      implements Lease {
    @Override
    public BlockEvaluation evaluation() {
      PackedCircuit opened = circuit.value();
      PublicKey publicKey = key.value();
      return (inputArray, inputSchema, outputArray, outputSchema, threads, shouldStop) ->
          opened.evaluate(
              publicKey, inputArray, inputSchema, outputArray, outputSchema, threads, shouldStop);
    }

    @Override
    public void close() {
      try (key) {
        circuit.close();
      }
    }
  }

  private record KeyedLease(
      SharedHandles.Lease<KeyedCircuit> circuit, SharedHandles.Lease<EvaluationKey> key)
      implements Lease {
    @Override
    public BlockEvaluation evaluation() {
      KeyedCircuit opened = circuit.value();
      EvaluationKey expanded = key.value();
      return (inputArray, inputSchema, outputArray, outputSchema, threads, shouldStop) ->
          opened.evaluate(
              expanded, inputArray, inputSchema, outputArray, outputSchema, threads, shouldStop);
    }

    @Override
    public void close() {
      try (key) {
        circuit.close();
      }
    }
  }
}
