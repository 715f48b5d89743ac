package org.fhespark.jobs.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Logits;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.RemoteServer;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Mode REMOTE against `fhe-spark serve` in another process. */
class RemoteScoringTest {
  private static final String TOKEN = "a token that nobody guesses";
  private static final int LOOKED_UP = 2;

  private static SparkSession spark;
  private static Path compiled;
  private static Path whole;
  private static HybridModel client;
  private static ClientKey key;
  private static Path tokenFile;
  private static ServedModels server;

  @BeforeAll
  static void serve() throws Exception {
    spark = Digits.session();
    compiled = Digits.compiled(spark);
    whole = Digits.compiledWhole(spark);
    client = clientOf(compiled);
    key = client.newKey();
    tokenFile = Files.writeString(Digits.newFolder("token").resolve("token"), TOKEN + "\n");
    server = start(0);
  }

  @AfterAll
  static void stop() throws Exception {
    if (server != null) {
      server.close();
    }
    key.close();
    spark.stop();
  }

  private static ServedModels start(int port) throws Exception {
    return ServedModels.start(
        port,
        tokenFile,
        List.of(compiled.resolve("server").toString(), "mlp=" + whole.resolve("server")));
  }

  /** The client artefact alone. */
  private static HybridModel clientOf(Path model) {
    return HybridModel.load(Digits.hadoop(model.resolve("client")), new Configuration());
  }

  private static RemoteServer remote() {
    return new RemoteServer(server.url(), TOKEN, Duration.ofMinutes(3));
  }

  private static HybridSession session(RemoteServer remote) {
    return client.remoteSession(spark, remote, key, Optional.empty());
  }

  private static List<Row> score(HybridSession session, List<Row> images) {
    return session.forward(spark.createDataFrame(images, Digits.schema())).collectAsList();
  }

  private static void assertRefused(RemoteServer remote, HybridModel model, String... parts) {
    try (ClientKey own = model.newKey();
        HybridSession session = model.remoteSession(spark, remote, own, Optional.empty())) {
      List<Row> images = Digits.images(spark).subList(0, 1);
      InvalidInputException error =
          assertThrows(InvalidInputException.class, () -> score(session, images));
      assertEquals(1, error.getMessage().lines().count(), error.getMessage());
      assertTrue(error.getMessage().startsWith(remote.url()), error.getMessage());
      for (String part : parts) {
        assertTrue(error.getMessage().contains(part), part + " is not in " + error.getMessage());
      }
      assertFalse(error.getMessage().contains(remote.token()), error.getMessage());
    }
  }

  @Test
  void remoteEqualsExecuteInEveryValue() throws Exception {
    List<Row> images = Digits.images(spark);
    List<Row> execute;
    try (HybridSession session = Digits.load(compiled).session(spark, Mode.EXECUTE, key)) {
      execute = score(session, images);
    }
    try (HybridSession session = session(remote())) {
      List<Row> found = score(session, images);
      assertEquals(Digits.IMAGES, found.size());
      assertEquals(0, Logits.differing(execute, found));
      // What is open serves the next run, prepared masks too.
      assertTrue(session.prepare(5).slots() > 0);
      assertEquals(
          0, Logits.differing(execute.subList(0, 3), score(session, images.subList(0, 3))));
    }
    assertFalse(server.commandLine().contains(TOKEN));
    assertFalse(server.output().contains(TOKEN));
  }

  @Test
  void theEvaluationKeyGoesToTheServerWithTheFirstBlocks() {
    HybridModel model = clientOf(whole);
    Path keys = Digits.newFolder("keys");
    List<Row> images = Digits.images(spark);
    List<Row> disable;
    double noise;
    try (HybridSession clear = Digits.load(whole).session(spark, Mode.DISABLE);
        HybridSession noisy = Digits.load(whole).session(spark, Mode.SIMULATE)) {
      disable = score(clear, images);
      noise = Logits.largestError(disable, score(noisy, images));
    }
    try (ClientKey own = model.newKey()) {
      model.evaluationKeys(own, keys, share -> {});
      try (HybridSession session = model.remoteSession(spark, remote(), own, Optional.of(keys))) {
        List<Row> found = score(session, images.subList(0, LOOKED_UP));
        double error = Logits.largestError(disable, found);
        assertTrue(error > 0 && error <= 1.5 * noise, error + " and " + noise);
      }
    }
  }

  @Test
  void aServerThatIsKilledAndStartedAgainCostsNoFinishedBlock() throws Exception {
    List<Row> images = Digits.images(spark);
    List<Row> many = new ArrayList<>();
    for (int i = 0; i < 6 * images.size(); i++) {
      many.add(images.get(i % images.size()));
    }
    Path input = Digits.write(spark, "many", Digits.schema(), many);
    Path output = Digits.newFolder("scored").resolve("remote");
    AtomicInteger sent = new AtomicInteger();
    AtomicInteger done = new AtomicInteger();
    CompletableFuture<ServedModels> restarted = new CompletableFuture<>();
    ScoreProgress killing =
        new ScoreProgress() {
          @Override
          public void blocksSent(String modules, int blocks) {
            sent.addAndGet(blocks);
          }

          @Override
          public void blockDone() {
            if (done.incrementAndGet() == 2) {
              restart(restarted);
            }
          }
        };
    try (HybridSession session = session(remote())) {
      session.score(Digits.hadoop(input), Digits.hadoop(output), false, killing);
    } finally {
      server = restarted.get();
    }
    assertEquals(sent.get(), done.get());
    assertTrue(done.get() > 4, done + " blocks");
    List<Row> scored = Digits.read(spark, output);
    assertEquals(many.size(), scored.size());
    try (HybridSession session = Digits.load(compiled).session(spark, Mode.DISABLE)) {
      List<Row> expected = score(session, images);
      for (int i = 0; i < scored.size(); i += images.size()) {
        List<Row> part = scored.subList(i, i + images.size());
        assertEquals(0, Logits.differing(expected, part));
      }
    }
  }

  private static void restart(CompletableFuture<ServedModels> restarted) {
    int port = server.port();
    Thread thread =
        new Thread(
            () -> {
              try {
                server.close();
                restarted.complete(start(port));
              } catch (Throwable error) {
                restarted.completeExceptionally(error);
              }
            });
    thread.start();
  }

  @Test
  void whatIsWrongIsSaidInOneLine() throws Exception {
    assertRefused(new RemoteServer(server.url(), "another token"), client, "token");
    int free;
    try (ServerSocket socket = new ServerSocket(0)) {
      free = socket.getLocalPort();
    }
    assertRefused(new RemoteServer("sc://localhost:" + free, TOKEN), client, "no server", "serve");
    Path other =
        Digits.compile(spark, CompileOptions.remote(List.of("seq.0")).expectedBatch(64).build());
    HybridModel model = clientOf(other);
    assertRefused(
        remote(), model, "no circuit", model.specs().remote().get(0).circuitDigest(), "seq.0");
    for (String url : List.of("http://localhost:1", "sc:", "sc://", "localhost:15002")) {
      InvalidInputException error =
          assertThrows(InvalidInputException.class, () -> new RemoteServer(url, TOKEN), url);
      assertTrue(error.getMessage().contains("sc://HOST:PORT"), error.getMessage());
    }
  }
}
