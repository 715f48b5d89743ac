package org.fhespark.jobs.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.connect.ConnectLibrary;
import org.fhespark.connect.RemoteSession;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Logits;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.RemoteServer;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Mode REMOTE against `fhe-spark serve` in another process. */
class RemoteScoringTest {
  private static final String TOKEN = "a token that nobody guesses";
  private static final int LOOKED_UP = 2;

  /** That a client has under way with a server of two cores. */
  private static final int QUERIES = 3;

  private static SparkSession spark;
  private static Path compiled;
  private static Path whole;
  private static Path leveled;

  /** Its results are re-randomised. */
  private static Path guarded;

  private static HybridModel client;
  private static ClientKey key;
  private static Path tokenFile;
  private static ServedModels server;

  @BeforeAll
  static void serve() throws Exception {
    spark = Digits.session();
    compiled = Digits.compiled(spark);
    whole = Digits.compiledWhole(spark);
    leveled = Digits.compiledLeveled(spark);
    guarded =
        Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).protectWeights(true).build());
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
        List.of(
            compiled.resolve("server").toString(),
            "mlp=" + whole.resolve("server"),
            "leveled=" + leveled.resolve("server"),
            "guarded=" + guarded.resolve("server")));
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
    assertScoresWithAKeyThatIsSent(whole, LOOKED_UP);
    assertScoresWithAKeyThatIsSent(leveled, Digits.IMAGES);
  }

  private static void assertScoresWithAKeyThatIsSent(Path artefacts, int records) {
    HybridModel model = clientOf(artefacts);
    Path keys = Digits.newFolder("keys");
    List<Row> images = Digits.images(spark);
    List<Row> disable;
    double noise;
    try (HybridSession clear = Digits.load(artefacts).session(spark, Mode.DISABLE);
        HybridSession noisy = Digits.load(artefacts).session(spark, Mode.SIMULATE)) {
      disable = score(clear, images);
      noise = Logits.largestError(disable, score(noisy, images));
    }
    try (ClientKey own = model.newKey()) {
      model.evaluationKeys(own, keys, share -> {});
      try (HybridSession session = model.remoteSession(spark, remote(), own, Optional.of(keys))) {
        List<Row> found = score(session, images.subList(0, records));
        assertEquals(records, found.size());
        double error = Logits.largestError(disable, found);
        assertTrue(error > 0 && error <= 1.5 * noise, error + " and " + noise);
      }
    }
  }

  @Test
  void thePublicKeyGoesToTheServerAndIsDroppedThere() throws Exception {
    HybridModel model = clientOf(guarded);
    List<Row> images = Digits.images(spark);
    List<Row> disable;
    try (HybridSession clear = Digits.load(guarded).session(spark, Mode.DISABLE)) {
      disable = score(clear, images);
    }
    RemoteCallSpec call = model.specs().remote().get(0);
    try (ClientKey own = model.newKey();
        ModuleClient module = ModuleClient.withKey(call.moduleSpec(), own);
        RemoteSession asked = RemoteSession.open(ConnectLibrary.find(), server.url(), TOKEN)) {
      ByteBuffer zeros = ByteBuffer.allocateDirect(4 * call.dIn());
      byte[] block = module.encrypt(zeros, new float[1], 0);
      String refused = refusal(asked, block);
      assertTrue(refused.contains("no public key of client key " + own.id()), refused);
      assertTrue(refused.contains("register_key with the client's public.key"), refused);
      for (int session = 0; session < 2; session++) {
        try (HybridSession remote = model.remoteSession(spark, remote(), own, Optional.empty())) {
          assertEquals(0, Logits.differing(disable, score(remote, images)));
        }
      }
      assertEquals(1, publicKeys(asked, own), "any public key of a client key serves all");
      assertTrue(asked.evaluate("guarded_seq_0", block).length > 0);
      asked.call("drop_key('" + own.id() + "')");
      assertEquals(0, publicKeys(asked, own));
      assertEquals(refused, refusal(asked, block));
    }
  }

  private static long publicKeys(RemoteSession session, ClientKey key) {
    return session.call("list_keys()").stream()
        .filter(row -> row.get("key").equals(key.id()) && row.get("kind").equals("public"))
        .count();
  }

  private static String refusal(RemoteSession session, byte[] block) {
    String message =
        assertThrows(InvalidInputException.class, () -> session.evaluate("guarded_seq_0", block))
            .getMessage();
    assertEquals(1, message.lines().count(), message);
    return message;
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
    AtomicInteger doneBefore = new AtomicInteger();
    ServedModels first = server;
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
              restart(restarted, () -> doneBefore.set(done.get()));
            }
          }
        };
    // The public key too has to go to the server that was started again.
    HybridModel model = clientOf(guarded);
    try (ClientKey own = model.newKey()) {
      try (HybridSession session = model.remoteSession(spark, remote(), own, Optional.empty())) {
        session.score(Digits.hadoop(input), Digits.hadoop(output), false, killing);
      } finally {
        // A run that failed before has killed nothing.
        if (done.get() >= 2) {
          server = restarted.get();
        }
      }
      assertEquals(sent.get(), done.get());
      assertTrue(done.get() > 4, done + " blocks");
      assertEvaluatedOnce(first.evaluated(own.id()), server.evaluated(own.id()), sent, doneBefore);
    }
    List<Row> scored = Digits.read(spark, output);
    assertEquals(many.size(), scored.size());
    try (HybridSession session = Digits.load(guarded).session(spark, Mode.DISABLE)) {
      List<Row> expected = score(session, images);
      for (int i = 0; i < scored.size(); i += images.size()) {
        List<Row> part = scored.subList(i, i + images.size());
        assertEquals(0, Logits.differing(expected, part));
      }
    }
  }

  /**
   * What the servers say that they evaluated: all blocks, none twice but those that were on their
   * way when the first was killed.
   *
   * @param doneBefore blocks of which the client had the results before the second began
   */
  private static void assertEvaluatedOnce(
      List<Long> first, List<Long> second, AtomicInteger sent, AtomicInteger doneBefore) {
    String servers = first + " and then " + second;
    Set<Long> all = new HashSet<>(first);
    all.addAll(second);
    assertEquals(sent.get(), all.size(), servers);
    assertEquals(first.size(), new HashSet<>(first).size(), servers);
    assertEquals(second.size(), new HashSet<>(second).size(), servers);
    assertTrue(doneBefore.get() >= 2, servers);
    assertTrue(second.size() <= sent.get() - doneBefore.get(), servers + ", " + doneBefore);
    assertTrue(first.size() + second.size() - all.size() <= QUERIES, servers);
  }

  private static void restart(CompletableFuture<ServedModels> restarted, Runnable between) {
    int port = server.port();
    Thread thread =
        new Thread(
            () -> {
              try {
                server.close();
                between.run();
                restarted.complete(start(port));
              } catch (Throwable error) {
                restarted.completeExceptionally(error);
              }
            });
    thread.start();
  }
}
