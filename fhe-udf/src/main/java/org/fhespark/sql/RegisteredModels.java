package org.fhespark.sql;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.artifact.ServerSpecs;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.nativelib.EvaluationKey;
import org.fhespark.nativelib.EvaluationParameters;
import org.fhespark.nativelib.KeyedCircuit;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PublicKey;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.EvaluationKeyBytes;
import org.fhespark.udf.PublicKeyBytes;

/**
 * Models and keys of clients that are registered with the Spark context of this JVM, for all its
 * sessions. A circuit is broadcast once, however many models have it, and its broadcast destroyed
 * when the last of them is dropped; what executors prepared of it they release when it is idle.
 */
public final class RegisteredModels {
  /** Of the context that runs; there is one a JVM. */
  private static RegisteredModels current;

  private final JavaSparkContext spark;
  private final Map<String, Broadcast<Circuit>> files = new HashMap<>();
  private final Map<String, RegisteredCircuit> circuits = new TreeMap<>();
  private final Map<String, RegisteredKey> keys = new TreeMap<>();

  private RegisteredModels(SparkContext spark) {
    this.spark = JavaSparkContext.fromSparkContext(spark);
  }

  /** Those of a Spark context. */
  public static synchronized RegisteredModels of(SparkContext spark) {
    if (current == null || current.spark.sc() != spark) {
      current = new RegisteredModels(spark);
    }
    return current;
  }

  /**
   * Registers all circuits of a server artefact; what was registered under the model's name goes,
   * but for queries that are bound to it.
   *
   * @param server on any Hadoop file system
   * @return the circuits, by function
   * @throws InvalidInputException if the artefact or the name cannot be used; nothing has changed
   *     then
   */
  public List<RegisteredCircuit> register(String model, Path server) {
    ServerArtifact artifact;
    try {
      artifact = ServerArtifact.load(server, spark.hadoopConfiguration());
    } catch (IOException error) {
      throw new InvalidInputException(server + ": cannot be read: " + error.getMessage(), error);
    }
    return register(model, artifact);
  }

  private synchronized List<RegisteredCircuit> register(String name, ServerArtifact artifact) {
    String model = FunctionNames.model(name);
    Map<String, RegisteredCircuit> added = new TreeMap<>();
    try {
      for (ServerSpecs.Circuit listed : artifact.specs().circuits()) {
        String function = FunctionNames.circuit(model, listed.name());
        requireFree(function, model, listed.name(), added.get(function));
        added.put(function, open(function, model, listed.name(), artifact.circuit(listed.name())));
      }
    } catch (RuntimeException error) {
      destroyUnused();
      throw error;
    }
    circuits.values().removeIf(circuit -> circuit.model().equals(model));
    circuits.putAll(added);
    // Queries that bound what was replaced go on with it; Spark cleans up after the last of them.
    files.keySet().retainAll(used());
    return List.copyOf(added.values());
  }

  private void requireFree(
      String function, String model, String module, RegisteredCircuit sameModel) {
    RegisteredCircuit known = sameModel == null ? circuits.get(function) : sameModel;
    boolean isTaken = sameModel != null || known != null && !known.model().equals(model);
    if (isTaken || FunctionNames.RESERVED.contains(function)) {
      throw new InvalidInputException(
          "model "
              + model
              + ": its module '"
              + module
              + "' would be the function "
              + function
              + ", which "
              + (isTaken
                  ? "module '" + known.module() + "' of model " + known.model() + " is"
                  : "the catalog has itself")
              + ": choose another name for the model");
    }
  }

  private RegisteredCircuit open(String function, String model, String module, byte[] file) {
    Circuit circuit = new Circuit(file);
    String digest = circuit.digest().hex();
    Shape shape = Shape.of(file);
    Broadcast<Circuit> sent = files.computeIfAbsent(digest, unused -> spark.broadcast(circuit));
    return new RegisteredCircuit(
        function,
        model,
        module,
        digest,
        shape.inputs(),
        shape.outputs(),
        shape.keyed(),
        shape.rerandomizes(),
        sent);
  }

  /** What the file alone tells of a circuit. */
  private record Shape(
      int inputs, int outputs, Optional<EvaluationParameters> keyed, boolean rerandomizes) {
    static Shape of(byte[] file) {
      if (KeyedCircuit.isOne(file)) {
        try (KeyedCircuit circuit = KeyedCircuit.open(file)) {
          return new Shape(
              circuit.inputs(), circuit.outputs(), Optional.of(circuit.parameters()), false);
        }
      }
      try (PackedCircuit circuit = PackedCircuit.open(file)) {
        return new Shape(
            circuit.inputs(),
            circuit.outputs(),
            Optional.empty(),
            circuit.parameters().protectsWeights());
      }
    }
  }

  /**
   * Drops a model; queries that still evaluate its circuits fail.
   *
   * @return the functions that are gone
   * @throws InvalidInputException if there is none of the name
   */
  public synchronized List<String> drop(String name) {
    String model = FunctionNames.model(name);
    List<String> gone =
        circuits.values().stream()
            .filter(circuit -> circuit.model().equals(model))
            .map(RegisteredCircuit::function)
            .toList();
    if (gone.isEmpty()) {
      throw new InvalidInputException(
          "no model " + model + " is registered; registered are: " + names());
    }
    gone.forEach(circuits::remove);
    destroyUnused();
    return gone;
  }

  private String names() {
    Set<String> models = new HashSet<>();
    circuits.values().forEach(circuit -> models.add(circuit.model()));
    return models.isEmpty() ? "none" : String.join(", ", models.stream().sorted().toList());
  }

  private Set<String> used() {
    return circuits.values().stream().map(RegisteredCircuit::digest).collect(Collectors.toSet());
  }

  private void destroyUnused() {
    Set<String> used = used();
    files
        .entrySet()
        .removeIf(
            file -> {
              boolean isUnused = !used.contains(file.getKey());
              if (isUnused) {
                file.getValue().destroy();
              }
              return isUnused;
            });
  }

  /** All circuits, by function. */
  public synchronized List<RegisteredCircuit> circuits() {
    return List.copyOf(circuits.values());
  }

  /** The circuit of a function. */
  public synchronized Optional<RegisteredCircuit> circuit(String function) {
    return Optional.ofNullable(circuits.get(function));
  }

  /**
   * Registers a client's evaluation key, for all circuits with its parameters, or its public key.
   *
   * @param path its file, on any Hadoop file system
   * @throws InvalidInputException if it cannot be read, is damaged or none
   */
  public RegisteredKey registerKey(Path path) {
    try {
      return registerKey(FileStore.of(path, spark.hadoopConfiguration()).read(path));
    } catch (IOException error) {
      throw new InvalidInputException(path + ": cannot be read: " + error.getMessage(), error);
    } catch (InvalidInputException error) {
      throw new InvalidInputException(path + ": " + error.getMessage(), error);
    }
  }

  /**
   * Registers a client's evaluation or public key.
   *
   * @param file the bytes, which must not change any more
   * @throws InvalidInputException if they are damaged or no such key
   */
  public RegisteredKey registerKey(byte[] file) {
    return PublicKey.isOne(file) ? registerPublicKey(file) : registerEvaluationKey(file);
  }

  private RegisteredKey registerEvaluationKey(byte[] file) {
    ByteBuffer direct = ByteBuffer.allocateDirect(file.length).put(file).flip();
    EvaluationKey.Description found = EvaluationKey.describe(direct);
    return registerKey(
        found.digest().hex(),
        digest ->
            new RegisteredKey.Evaluation(
                found.keyId(),
                found.parameters(),
                digest,
                file.length,
                spark.broadcast(new EvaluationKeyBytes(file))));
  }

  private RegisteredKey registerPublicKey(byte[] file) {
    try (PublicKey key = PublicKey.open(file)) {
      return registerKey(
          key.digest().hex(),
          digest ->
              new RegisteredKey.Public(
                  key.keyId(), digest, file.length, spark.broadcast(new PublicKeyBytes(file))));
    }
  }

  private synchronized RegisteredKey registerKey(
      String digest, Function<String, RegisteredKey> made) {
    return keys.computeIfAbsent(digest, made);
  }

  /**
   * Drops the evaluation and public keys of a client key.
   *
   * @param key its id, in hexadecimal
   * @return how many there were
   * @throws InvalidInputException if there is none
   */
  public synchronized int dropKey(String key) {
    Collection<RegisteredKey> gone = new ArrayList<>();
    keys.values().stream().filter(each -> each.key().equals(key)).forEach(gone::add);
    if (gone.isEmpty()) {
      throw new InvalidInputException(
          "no evaluation or public key of client key " + key + " is registered");
    }
    for (RegisteredKey each : gone) {
      keys.remove(each.digest());
      each.file().destroy();
    }
    return gone.size();
  }

  /** All keys of clients. */
  public synchronized List<RegisteredKey> keys() {
    return List.copyOf(keys.values());
  }

  /** Those that a circuit can use. */
  synchronized ClientKeys keysFor(RegisteredCircuit circuit) {
    ClientKeys usable = ClientKeys.none();
    for (RegisteredKey registered : keys.values()) {
      if (registered instanceof RegisteredKey.Evaluation key
          && circuit.keyed().filter(key.parameters()::serves).isPresent()) {
        usable.evaluation().put(key.key(), key.source());
      } else if (registered instanceof RegisteredKey.Public key && circuit.rerandomizes()) {
        usable.publicKeys().put(key.key(), key.file());
      }
    }
    return usable;
  }
}
