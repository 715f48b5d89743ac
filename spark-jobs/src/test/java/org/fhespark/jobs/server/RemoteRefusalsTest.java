package org.fhespark.jobs.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.connect.ConnectLibrary;
import org.fhespark.connect.RemoteSession;
import org.fhespark.jobs.cli.Artefacts;
import org.fhespark.jobs.cli.ChildJvm;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.jobs.cli.FheSpark;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.RemoteServer;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.sql.FheCatalog;
import org.fhespark.udf.BlockHeader;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What `score --mode remote` says, in a process of its own, where it cannot score. */
class RemoteRefusalsTest {
  private static final String TOKEN = "a token that nobody guesses";

  private static Path compiled;
  private static Path whole;
  private static Path other;
  private static Path image;
  private static Path tokenFile;
  private static ServedModels server;

  @BeforeAll
  static void serve() throws Exception {
    SparkSession spark = Digits.session();
    try {
      compiled = Digits.compiled(spark);
      whole = Digits.compiledWhole(spark);
      other =
          Digits.compile(spark, CompileOptions.remote(List.of("seq.0")).expectedBatch(64).build());
      image = Digits.write(spark, "image", Digits.schema(), Digits.images(spark).subList(0, 1));
    } finally {
      spark.stop();
    }
    tokenFile = token(TOKEN);
    server = ServedModels.start(0, tokenFile, models());
  }

  @AfterAll
  static void stop() throws Exception {
    if (server != null) {
      server.close();
    }
  }

  private static List<String> models() {
    return List.of(compiled.resolve("server").toString(), "mlp=" + whole.resolve("server"));
  }

  private static Path token(String text) throws Exception {
    return Files.writeString(Digits.newFolder("token").resolve("token"), text + "\n");
  }

  private static HybridModel clientOf(Path model) {
    return HybridModel.load(Digits.hadoop(model.resolve("client")), new Configuration());
  }

  /** Keys of a model; returns their folder. */
  private static Path keys(Path model) {
    Path keys = Digits.newFolder("keys");
    try (ClientKey key = clientOf(model).newKey()) {
      key.save(keys.resolve("client.key"));
      clientOf(model).evaluationKeys(key, keys, share -> {});
    }
    return keys;
  }

  private static String keyId(Path keys) {
    try (ClientKey key = ClientKey.load(keys.resolve("client.key"))) {
      return key.id();
    }
  }

  private static void assertRefused(String url, Path token, Path model, Path keys, String... parts)
      throws Exception {
    List<String> command = new ArrayList<>(List.of("score", "--mode", "remote"));
    command.addAll(List.of("--server", url, "--token-file", token.toString()));
    command.addAll(List.of("--client", model.resolve("client").toString()));
    command.addAll(List.of("--keys", keys.toString(), "--input", image.toString()));
    Path output = Digits.newFolder("refused").resolve("scored");
    command.addAll(List.of("--output", output.toString()));
    CommandRun run =
        new ChildJvm()
            .option("-D" + ConnectLibrary.FOLDER + "=" + System.getProperty(ConnectLibrary.FOLDER))
            .run(FheSpark.class, command);
    run.assertRefused(parts);
    assertFalse(run.err().contains(TOKEN), run.err());
    assertFalse(Files.exists(output), "an output of nothing");
  }

  @Test
  void serversThatCannotBeUsed() throws Exception {
    Path keys = keys(compiled);
    assertRefused(
        server.url(),
        token("another token"),
        compiled,
        keys,
        server.url(),
        "token",
        "--token-file");
    int free;
    try (ServerSocket socket = new ServerSocket(0)) {
      free = socket.getLocalPort();
    }
    String nobody = "sc://localhost:" + free;
    assertRefused(nobody, tokenFile, compiled, keys, nobody, "no server", "fhe-spark serve");
    assertRefused(
        server.url(),
        tokenFile,
        other,
        keys(other),
        server.url(),
        "no circuit",
        clientOf(other).specs().remote().get(0).circuitDigest(),
        "seq.0");
    for (String url : List.of("http://localhost:1", "sc:", "sc://", "localhost:15002")) {
      InvalidInputException error =
          assertThrows(InvalidInputException.class, () -> new RemoteServer(url, TOKEN), url);
      assertTrue(error.getMessage().contains("sc://HOST:PORT"), error.getMessage());
    }
  }

  @Test
  void questionsThatAreNotOfModeRemote() {
    try (RemoteSession session = RemoteSession.open(ConnectLibrary.find(), server.url(), TOKEN)) {
      String message =
          assertThrows(InvalidInputException.class, () -> session.call("register('x', '/tmp')"))
              .getMessage();
      assertEquals(1, message.lines().count(), message);
      assertTrue(message.contains("the server refuses"), message);
      assertTrue(message.contains("--any-query"), message);
      // The session goes on.
      assertEquals(4, session.call("list()").size());
    }
  }

  @Test
  void serversOfAnotherVersion() throws Exception {
    Path keys = keys(compiled);
    for (Class<?> later : List.of(LaterCatalog.Newer.class, LaterCatalog.NewerBlocks.class)) {
      boolean isCatalog = later == LaterCatalog.Newer.class;
      int ours = isCatalog ? FheCatalog.VERSION : BlockHeader.FORMAT_VERSION;
      try (ServedModels served =
          ServedModels.start(
              0, tokenFile, models(), "--conf", "spark.sql.catalog.fhe=" + later.getName())) {
        assertRefused(
            served.url(),
            tokenFile,
            compiled,
            keys,
            served.url(),
            isCatalog ? "catalog" : "format of blocks",
            "version " + (ours + 1) + ", this client's " + ours,
            "one release of fhe-spark on both sides");
      }
    }
  }

  @Test
  void artefactsOfAnotherVersion() throws Exception {
    Path keys = keys(compiled);
    Path copy = new Artefacts(compiled, keys).copy().model();
    for (String side : List.of("client", "server")) {
      Artefacts.rewrite(
          copy.resolve(side),
          side + ".json",
          "\"formatVersion\" : " + ArtifactJson.FORMAT_VERSION,
          "\"formatVersion\" : " + (ArtifactJson.FORMAT_VERSION + 1));
    }
    assertRefused(server.url(), tokenFile, copy, keys, "client.json", "version 5", "version 4");
    new ChildJvm()
        .run(
            FheSpark.class,
            List.of(
                "serve",
                "--server",
                copy.resolve("server").toString(),
                "--token-file",
                tokenFile.toString()))
        .assertRefused("server.json", "version 5", "version 4");
  }

  @Test
  void keysOfOthers() throws Exception {
    Path keys = keys(whole);
    Path others = keys(whole);
    Path mixed = Digits.newFolder("mixed");
    Files.copy(keys.resolve("client.key"), mixed.resolve("client.key"));
    Files.copy(others.resolve("evaluation.key"), mixed.resolve("evaluation.key"));
    assertRefused(
        server.url(), tokenFile, whole, mixed, "evaluation.key", keyId(keys), keyId(others));
    assertRefused(
        server.url(), tokenFile, compiled, keys, keyId(keys), "another client artefact", "keygen");

    // A client that sends blocks under one key, where another's evaluation key is registered.
    RemoteCallSpec call = clientOf(whole).specs().remote().get(0);
    try (ClientKey key = ClientKey.load(keys.resolve("client.key"));
        ModuleClient encrypting = ModuleClient.withKey(call.moduleSpec(), key);
        RemoteSession session = RemoteSession.open(ConnectLibrary.find(), server.url(), TOKEN)) {
      session.registerKey(Files.readAllBytes(others.resolve("evaluation.key")));
      ByteBuffer zeros = ByteBuffer.allocateDirect(4 * call.dIn());
      byte[] block = encrypting.encrypt(zeros, new float[1], 0);
      String message =
          assertThrows(InvalidInputException.class, () -> session.evaluate("mlp", block))
              .getMessage();
      assertEquals(1, message.lines().count(), message);
      for (String part : List.of(keyId(keys), keyId(others), "register_key", "evaluation.key")) {
        assertTrue(message.contains(part), message);
      }
    }
  }
}
