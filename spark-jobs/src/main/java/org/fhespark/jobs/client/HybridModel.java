package org.fhespark.jobs.client;

import java.io.IOException;
import java.util.HexFormat;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.nativelib.ClientKey;

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

  /** Draws a new secret key for this model. */
  public ClientKey newKey() {
    return ClientKey.generate(HexFormat.of().parseHex(client.id()), specs().secretKeyShapes());
  }

  /**
   * Opens a session in a mode that needs no key.
   *
   * @throws InvalidInputException if the mode needs a key, or circuits that were not loaded
   */
  public HybridSession session(SparkSession spark, Mode mode) {
    return HybridSession.open(spark, this, mode, Optional.empty());
  }

  /**
   * Opens a session. The key stays with the caller, who closes it after the session.
   *
   * @throws InvalidInputException if the key belongs to another client artefact, or circuits were
   *     not loaded
   */
  public HybridSession session(SparkSession spark, Mode mode, ClientKey key) {
    String keyClient = HexFormat.of().formatHex(key.clientId());
    if (!keyClient.equals(client.id())) {
      throw new InvalidInputException(
          "key "
              + key.id()
              + " was made for another client artefact ("
              + keyClient.substring(0, 12)
              + "..., this is "
              + client.id().substring(0, 12)
              + "...): make one with keygen --client "
              + client.folder());
    }
    return HybridSession.open(spark, this, mode, Optional.of(key));
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
