package org.fhespark.jobs.client;

import java.io.IOException;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.function.DoubleConsumer;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.PackedParameters;

/**
 * A compiled model as its data owner uses it: the client artefact, and the server artefact where
 * the circuits are at hand.
 *
 * <pre>{@code
 * HybridModel model = HybridModel.load(new Path("model/client"), new Path("model/server"), conf);
 * try (ClientKey key = model.newKey();
 *     HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
 *   Dataset<Row> scored = session.forward(records);
 * }
 * }</pre>
 */
public final class HybridModel {
  private final ClientArtifact client;
  private final Optional<ServerArtifact> server;

  private HybridModel(ClientArtifact client, Optional<ServerArtifact> server) {
    this.client = client;
    this.server = server;
  }

  /**
   * Loads a client artefact alone: enough to make keys.
   *
   * @throws InvalidInputException naming the file that is missing, altered or of another version
   */
  public static HybridModel load(Path client, Configuration configuration) {
    try {
      return new HybridModel(ClientArtifact.load(client, configuration), Optional.empty());
    } catch (IOException error) {
      throw unreadable(client, error);
    }
  }

  /**
   * Loads both artefacts and checks that they belong together.
   *
   * @throws InvalidInputException naming the file that is missing, altered, of another version or
   *     of another model
   */
  public static HybridModel load(Path client, Path server, Configuration configuration) {
    HybridModel model = load(client, configuration);
    try {
      ServerArtifact circuits = ServerArtifact.load(server, configuration);
      circuits.requireCircuitsOf(model.client);
      return new HybridModel(model.client, Optional.of(circuits));
    } catch (IOException error) {
      throw unreadable(server, error);
    }
  }

  private static InvalidInputException unreadable(Path folder, IOException error) {
    return new InvalidInputException(folder + ": cannot be read: " + error.getMessage(), error);
  }

  /** What the client knows of the model. */
  public ClientSpecs specs() {
    return client.specs();
  }

  /**
   * The bytes of a circuit's file.
   *
   * @param name of {@link RemoteCallSpec#circuit}
   * @throws InvalidInputException if circuits were not loaded
   */
  public byte[] circuit(String name) {
    return server().circuit(name);
  }

  /** Draws a new secret key for this model. */
  public ClientKey newKey() {
    return ClientKey.generate(
        HexFormat.of().parseHex(client.id()),
        specs().secretKeyShapes(),
        specs().lweDimensions().stream().mapToInt(dimension -> dimension).toArray(),
        specs().ringDegrees());
  }

  /** Whether circuits of it take {@link #evaluationKeys}. */
  public boolean needsEvaluationKeys() {
    return !specs().evaluationKeys().isEmpty();
  }

  /** Whether circuits of it re-randomise results, so that executors need {@link #publicKey}. */
  public boolean needsPublicKey() {
    return specs().remote().stream().anyMatch(RemoteCallSpec::protectsWeights);
  }

  /**
   * Makes the public key with which executors re-randomise results of this model's circuits, as
   * {@link org.fhespark.nativelib.PublicKey#open} takes it. It holds no secret; sessions make their
   * own.
   *
   * @param key of {@link #newKey}
   * @throws InvalidInputException if the key belongs to another client artefact
   */
  public byte[] publicKey(ClientKey key) {
    requireOurs(key);
    return key.publicKey(
        specs().remote().stream()
            .filter(RemoteCallSpec::protectsWeights)
            .map(RemoteCallSpec::parameters)
            .map(PackedParameters::secretKeyShape)
            .distinct()
            .toList());
  }

  /**
   * Writes {@link #publicKey} into a local folder: {@code public.key}, which goes to whoever
   * evaluates.
   *
   * @return the file; empty if the model needs none
   * @throws InvalidInputException as {@link #publicKey}, and if the file is there or cannot be
   *     written
   */
  public Optional<java.nio.file.Path> writePublicKey(ClientKey key, java.nio.file.Path folder) {
    if (!needsPublicKey()) {
      return Optional.empty();
    }
    java.nio.file.Path file = folder.toAbsolutePath().resolve(KeyFolder.PUBLIC_KEY);
    return Optional.of(EvaluationKeyFiles.write(file, publicKey(key)));
  }

  /** Bytes that its evaluation keys will take. */
  public long evaluationKeyBytes() {
    return specs().evaluationKeys().stream()
        .mapToLong(spec -> spec.keyParameters().evaluationKeyBytes())
        .sum();
  }

  /**
   * Checks that a folder has no evaluation keys, before anything is made for it.
   *
   * @throws InvalidInputException naming the file that is there, of which {@link #evaluationKeys}
   *     would say the same
   */
  public void requireNoEvaluationKeys(java.nio.file.Path folder) {
    EvaluationKeyFiles.requireNone(specs().evaluationKeys(), folder.toAbsolutePath());
  }

  /**
   * Checks that a folder has no public key, before anything is made for it.
   *
   * @throws InvalidInputException naming the file that is there
   */
  public void requireNoPublicKey(java.nio.file.Path folder) {
    if (needsPublicKey()) {
      EvaluationKeyFiles.requireAbsent(folder.toAbsolutePath().resolve(KeyFolder.PUBLIC_KEY));
    }
  }

  /**
   * Makes the evaluation keys that this model's circuits need of a client key, on all cores, and
   * writes them into a local folder: {@code evaluation.key}. They hold no secret and go to the
   * executors; {@link #session(SparkSession, Mode, ClientKey, java.nio.file.Path)} takes the
   * folder.
   *
   * @param key of {@link #newKey}
   * @param progress is given the share that is done, up to 1; what it throws ends the work
   * @return the files; none if the model needs none
   * @throws InvalidInputException if the key belongs to another client artefact, or a file is there
   *     or cannot be written
   */
  public List<java.nio.file.Path> evaluationKeys(
      ClientKey key, java.nio.file.Path folder, DoubleConsumer progress) {
    requireOurs(key);
    return EvaluationKeyFiles.write(
        specs().evaluationKeys(),
        key,
        folder.toAbsolutePath(),
        Runtime.getRuntime().availableProcessors(),
        progress);
  }

  /**
   * Opens a session in a mode that needs no key.
   *
   * @throws InvalidInputException if the mode needs a key, or circuits that were not loaded
   */
  public HybridSession session(SparkSession spark, Mode mode) {
    return HybridSession.open(
        spark, this, mode, Optional.empty(), Optional.empty(), Optional.empty());
  }

  /**
   * Opens a session. The key stays with the caller, who closes it after the session.
   *
   * @throws InvalidInputException if the key belongs to another client artefact, or circuits were
   *     not loaded
   */
  public HybridSession session(SparkSession spark, Mode mode, ClientKey key) {
    requireOurs(key);
    return HybridSession.open(
        spark, this, mode, Optional.of(key), Optional.empty(), Optional.empty());
  }

  /**
   * Opens a session of a model with evaluation keys, which go to the executors.
   *
   * @param evaluationKeys the folder that {@link #evaluationKeys} wrote; its files must stay as
   *     they are while the session is open
   * @throws InvalidInputException as the other, and if an evaluation key is missing, damaged or of
   *     another client key
   */
  public HybridSession session(
      SparkSession spark, Mode mode, ClientKey key, java.nio.file.Path evaluationKeys) {
    requireOurs(key);
    return HybridSession.open(
        spark,
        this,
        mode,
        Optional.of(key),
        Optional.of(evaluationKeys.toAbsolutePath()),
        Optional.empty());
  }

  /**
   * Opens a session in mode REMOTE: blocks go to a Spark Connect server that has this model's
   * circuits registered; the client artefact is enough here. The server is asked when the first run
   * needs it.
   *
   * @param spark reads and writes tables on this machine
   * @param evaluationKeys of {@link #evaluationKeys}; empty for a model that has none
   * @throws InvalidInputException as the others
   */
  public HybridSession remoteSession(
      SparkSession spark,
      RemoteServer server,
      ClientKey key,
      Optional<java.nio.file.Path> evaluationKeys) {
    requireOurs(key);
    return HybridSession.open(
        spark,
        this,
        Mode.REMOTE,
        Optional.of(key),
        evaluationKeys.map(java.nio.file.Path::toAbsolutePath),
        Optional.of(server));
  }

  /**
   * Opens the client's side of scoring in jobs apart, which needs no circuits. The key stays with
   * the caller, who closes it after the session.
   *
   * @throws InvalidInputException if the key belongs to another client artefact
   */
  public ExchangeSession exchange(SparkSession spark, ClientKey key) {
    requireOurs(key);
    return ExchangeSession.open(spark, this, key);
  }

  private void requireOurs(ClientKey key) {
    String keyClient = HexFormat.of().formatHex(key.clientId());
    if (!keyClient.equals(client.id())) {
      throw new InvalidInputException(
          "key "
              + key.id()
              + " was made for another client artefact ("
              + keyClient.substring(0, 12)
              + "..., this is "
              + client.id().substring(0, 12)
              + "...): give the key made for it, or make one with keygen --client "
              + client.folder());
    }
  }

  ClientArtifact client() {
    return client;
  }

  ServerArtifact server() {
    return server.orElseThrow(
        () ->
            new InvalidInputException(
                "this session needs the circuits: load the model with its server artefact"
                    + " (--server DIR/server)"));
  }
}
