package org.fhespark.jobs.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.cli.ChildProcess;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The event log of a submitted score, read by Spark's own history server. */
@Tag("slow")
class HistoryServerTest {
  private static final String HOME_VARIABLE = "FHE_SPARK_TEST_SPARK_HOME";
  private static final int RECORDS = 300;
  private static final long PATIENCE_NS = 120_000_000_000L;

  /** In every record; no event may tell it. */
  private static final String NAME = "Ottilie-Musterfrau";

  private static final float PIXEL = 13.371337f;

  private static Path folder;
  private static Path events;
  private static String said;
  private static Process server;
  private static String url;

  @BeforeAll
  static void scoreAndStartTheServer() throws Exception {
    String home = System.getenv(HOME_VARIABLE);
    assertTrue(
        home != null && Files.exists(Path.of(home, "bin/spark-submit")),
        HOME_VARIABLE
            + " must name a Spark distribution, such as the folder of the pyspark package; `make"
            + " test-all` sets it");
    Path sparkHome = Path.of(home).toAbsolutePath();
    folder = Digits.newFolder("history");
    events = Files.createDirectories(folder.resolve("events"));
    score(sparkHome);

    int port;
    try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = free.getLocalPort();
    }
    ProcessBuilder command =
        new ProcessBuilder(
            sparkHome.resolve("bin/spark-class").toString(),
            "org.apache.spark.deploy.history.HistoryServer");
    command.environment().put("SPARK_HOME", sparkHome.toString());
    command.environment().put("SPARK_LOCAL_IP", "127.0.0.1");
    command
        .environment()
        .put(
            "SPARK_HISTORY_OPTS",
            "-Dspark.history.fs.logDirectory=file:" + events + " -Dspark.history.ui.port=" + port);
    command.redirectErrorStream(true).redirectOutput(folder.resolve("server.log").toFile());
    server = command.start();
    url = "http://127.0.0.1:" + port + "/api/v1/applications";
  }

  private static void score(Path sparkHome) throws Exception {
    SparkSession spark = Digits.session();
    List<Row> images = Digits.images(spark);
    List<Row> table = new ArrayList<>();
    for (Row image : images.subList(0, RECORDS)) {
      List<Float> pixels = new ArrayList<>(image.getList(1));
      pixels.set(0, PIXEL);
      table.add(
          RowFactory.create(
              image.getLong(0), pixels.toArray(Float[]::new), image.getLong(2), NAME));
    }
    Path records = Digits.write(spark, "records", Digits.schema(), table);
    Path compiled =
        Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).expectedBatch(64).build());
    HybridModel model = Digits.load(compiled);
    try (ClientKey key = model.newKey()) {
      key.save(folder.resolve("keys/client.key"));
    }
    spark.stop();
    Path jar = Digits.checkout().resolve("spark-jobs/target/fhe-spark.jar");
    assertTrue(Files.exists(jar), jar + " is not built: run `make build`");
    CommandRun run =
        ChildProcess.run(
            List.of(
                sparkHome.resolve("bin/spark-submit").toString(),
                "--master",
                "local[2]",
                "--conf",
                "spark.ui.enabled=false",
                "--conf",
                "spark.eventLog.enabled=true",
                "--conf",
                "spark.eventLog.compress=false",
                "--conf",
                "spark.eventLog.dir=file:" + events,
                "--class",
                "org.fhespark.jobs.cli.FheSpark",
                jar.toString(),
                "score",
                "--client",
                compiled + "/client",
                "--server",
                compiled + "/server",
                "--keys",
                folder + "/keys",
                "--input",
                records.toString(),
                "--output",
                folder.resolve("scored").toString()),
            Map.of("SPARK_HOME", sparkHome.toString(), "SPARK_LOCAL_IP", "127.0.0.1"));
    assertEquals(0, run.status(), run.err());
    said = run.out();
  }

  @AfterAll
  static void stopTheServer() throws Exception {
    if (server != null) {
      server.destroy();
      if (!server.waitFor(20, TimeUnit.SECONDS)) {
        server.destroyForcibly().waitFor();
      }
    }
  }

  /** Asks until there is an answer that is not an empty list: the server reads logs by and by. */
  private static JsonNode ask(String path) throws Exception {
    long deadline = System.nanoTime() + PATIENCE_NS;
    HttpRequest request = HttpRequest.newBuilder(URI.create(url + path)).build();
    while (true) {
      try {
        HttpResponse<String> response =
            HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() == 200) {
          JsonNode answer = JsonMapper.builder().build().readTree(response.body());
          if (!answer.isEmpty()) {
            return answer;
          }
        }
      } catch (ConnectException error) {
        assertTrue(server.isAlive(), () -> read(folder.resolve("server.log")));
      }
      assertTrue(System.nanoTime() < deadline, () -> read(folder.resolve("server.log")));
      Thread.sleep(200);
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file, StandardCharsets.ISO_8859_1);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  @Test
  void theHistoryServerShowsTheApplicationItsJobsAndTheAccumulators() throws Exception {
    JsonNode applications = ask("");
    assertEquals(1, applications.size(), applications.toString());
    JsonNode application = applications.get(0);
    assertEquals("fhe-spark score", application.get("name").asText());
    assertTrue(application.get("attempts").get(0).get("completed").asBoolean());

    String id = "/" + application.get("id").asText();
    TreeSet<String> described = new TreeSet<>();
    for (JsonNode job : ask(id + "/jobs")) {
      assertEquals("SUCCEEDED", job.get("status").asText());
      described.add(job.get("description").asText().replaceAll(": \\d+ ", ": N "));
    }
    assertEquals(
        new TreeSet<>(Digits.REMOTE.stream().map(each -> each + ": N encrypted blocks").toList()),
        described);

    Map<String, Long> totals = new HashMap<>();
    long inputRecords = 0;
    for (JsonNode stage : ask(id + "/stages")) {
      inputRecords += stage.get("inputRecords").asLong();
      for (JsonNode accumulator : stage.get("accumulatorUpdates")) {
        totals.merge(
            accumulator.get("name").asText(), accumulator.get("value").asLong(), Math::max);
      }
    }
    long inBlocks = (long) RECORDS * Digits.REMOTE.size();
    assertEquals(inBlocks, totals.get("records in encrypted blocks"), totals.toString());
    assertEquals(inBlocks, inputRecords);
    assertTrue(totals.get("encrypted blocks") >= Digits.REMOTE.size());
    assertTrue(totals.get("bytes up") > 0 && totals.get("bytes down") > 0);
    assertTrue(said.contains("execute: " + RECORDS + " records"), said);
  }

  @Test
  void theEventLogTellsNoRecordAndNoKey() throws Exception {
    byte[] key = Files.readAllBytes(folder.resolve("keys/client.key"));
    List<Path> logs;
    try (var all = Files.walk(events)) {
      logs =
          all.filter(Files::isRegularFile)
              .filter(file -> !file.toString().endsWith(".crc"))
              .toList();
    }
    String text = String.join("\n", logs.stream().map(HistoryServerTest::read).toList());
    assertTrue(text.contains("records in encrypted blocks"), "it is the log of the run");
    assertFalse(text.contains(NAME), "a column that scoring only passes on");
    assertFalse(text.contains(Float.toString(PIXEL)), "a value that is encrypted");
    for (int start = 72; start + 16 < key.length; start += 64) {
      String piece =
          new String(Arrays.copyOfRange(key, start, start + 12), StandardCharsets.ISO_8859_1);
      assertFalse(text.contains(piece), "bytes " + start + " of the key");
    }
  }
}
