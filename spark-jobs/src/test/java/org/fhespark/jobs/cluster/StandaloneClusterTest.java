package org.fhespark.jobs.cluster;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.cli.ChildProcess;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.ExchangeSession;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.RoundReport;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.server.EvaluationJob;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The packaged jar, handed to a standalone cluster of PyPI's Spark by spark-submit. */
@Tag("slow")
class StandaloneClusterTest {
  private static final Pattern TASK_EXECUTOR =
      Pattern.compile("\"Event\":\"SparkListenerTaskEnd\".*\"Executor ID\":\"(\\w+)\"");

  /** More than a block holds: a stage then has a task for each of the two executors. */
  private static final int RECORDS = 5000;

  private static Path folder;
  private static Path compiled;
  private static StandaloneCluster cluster;
  private static Path records;
  private static Path nan;
  private static List<Row> embedded;

  @BeforeAll
  static void startTheCluster() throws Exception {
    folder = Digits.newFolder("standalone");

    SparkSession spark = Digits.session();
    List<Row> images = Digits.images(spark);
    List<Row> table = new ArrayList<>();
    for (int i = 0; i < RECORDS; i++) {
      table.add(images.get(i % images.size()));
    }
    records = Digits.write(spark, "records", Digits.schema(), table);
    compiled =
        Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).expectedBatch(64).build());
    HybridModel model = Digits.load(compiled);
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      key.save(folder.resolve("keys/client.key"));
      session.score(
          Digits.hadoop(records),
          Digits.hadoop(folder.resolve("embedded")),
          false,
          ScoreProgress.SILENT);
    }
    embedded = Digits.read(spark, folder.resolve("embedded"));
    float[] pixels = new float[64];
    pixels[9] = Float.NaN;
    nan =
        Digits.write(
            spark, "nan", Digits.schema(), List.of(RowFactory.create(1L, pixels, 1L, "test")));
    spark.stop();

    cluster = StandaloneCluster.start(folder.resolve("cluster"));
  }

  @AfterAll
  static void stopTheCluster() throws Exception {
    if (cluster != null) {
      cluster.close();
    }
  }

  private static CommandRun submit(Path input, Path output, Path events) throws Exception {
    return submit(
        events,
        "score",
        "--client",
        compiled + "/client",
        "--server",
        compiled + "/server",
        "--keys",
        folder + "/keys",
        "--input",
        input.toString(),
        "--output",
        output.toString());
  }

  private static CommandRun submit(Path events, String... arguments) throws Exception {
    Files.createDirectories(events);
    return ChildProcess.run(
        cluster.submission(
            Map.of(
                "spark.eventLog.enabled",
                "true",
                "spark.eventLog.compress",
                "false",
                "spark.eventLog.dir",
                "file:" + events),
            List.of(arguments)),
        cluster.environment());
  }

  /** The files in a folder that others still write to: what goes meanwhile is left out. */
  private static List<Path> files(Path in) throws IOException {
    List<Path> found = new ArrayList<>();
    Files.walkFileTree(
        in,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            if (attributes.isRegularFile()) {
              found.add(file);
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFileFailed(Path file, IOException error) throws IOException {
            return proceedAfter(error);
          }

          @Override
          public FileVisitResult postVisitDirectory(Path directory, IOException error)
              throws IOException {
            return proceedAfter(error);
          }

          private static FileVisitResult proceedAfter(IOException error) throws IOException {
            if (error == null || error instanceof NoSuchFileException) {
              return FileVisitResult.CONTINUE;
            }
            throw error;
          }
        });
    return found;
  }

  @Test
  void twoWorkersWriteTheTableThatTheEmbeddedSessionWrites() throws Exception {
    Path output = folder.resolve("clustered");
    Path events = folder.resolve("events");
    CommandRun run = submit(records, output, events);
    assertEquals(0, run.status(), run.err());
    assertTrue(run.out().contains("execute: " + RECORDS + " records"), run.out());

    SparkSession spark = Digits.session();
    List<Row> clustered = Digits.read(spark, output);
    spark.stop();
    assertEquals(embedded, clustered);
    Path expected = folder.resolve("embedded/part-00000.snappy.parquet");
    Path actual = output.resolve("part-00000.snappy.parquet");
    assertArrayEquals(Files.readAllBytes(expected), Files.readAllBytes(actual));

    Set<String> executors = new TreeSet<>();
    for (Path log : files(events)) {
      for (String line : Files.readAllLines(log)) {
        Matcher task = TASK_EXECUTOR.matcher(line);
        if (task.find()) {
          executors.add(task.group(1));
        }
      }
    }
    assertEquals(Set.of("0", "1"), executors, "executors that ran tasks");

    assertNoKeyBytes(files(folder.resolve("cluster")));
    assertNoKeyBytes(files(events));
  }

  /** The cluster sees blocks and circuits; client and records are in this process. */
  @Test
  void aClusterThatEvaluatesOnlyGivesTheTableOfTheEmbeddedSession() throws Exception {
    Path apart = folder.resolve("apart");
    Path state = apart.resolve("state");
    Path events = folder.resolve("events-apart");
    org.apache.hadoop.fs.Path blocks = Digits.hadoop(apart.resolve("blocks"));
    org.apache.hadoop.fs.Path results = Digits.hadoop(apart.resolve("results"));
    HybridModel model = Digits.load(compiled);
    try (ClientKey key = ClientKey.load(folder.resolve("keys/client.key"))) {
      SparkSession spark = Digits.session();
      RoundReport report;
      try (ExchangeSession session = model.exchange(spark, key)) {
        report = session.encrypt(Digits.hadoop(records), state, blocks, ScoreProgress.SILENT);
      }
      while (!report.isScored()) {
        CommandRun run =
            submit(
                events,
                "evaluate",
                "--server",
                compiled + "/server",
                "--input",
                blocks.toString(),
                "--out",
                results.toString());
        assertEquals(0, run.status(), run.err());
        assertTrue(run.out().contains("evaluate: " + report.blocks() + " blocks"), run.out());
        try (ExchangeSession session = model.exchange(spark, key)) {
          report =
              session.decrypt(
                  state,
                  results,
                  Optional.of(blocks),
                  Optional.of(Digits.hadoop(apart.resolve("scored"))),
                  false,
                  ScoreProgress.SILENT);
        }
      }
      assertEquals(embedded, Digits.read(spark, apart.resolve("scored")));
      spark.stop();
    }
    assertNoKeyBytes(files(events));
    assertNoKeyBytes(files(apart.resolve("blocks")));
    assertNoKeyBytes(files(apart.resolve("results")));
  }

  /**
   * A cluster that the client trusts encrypts: the key comes from a file, and goes nowhere else.
   */
  @Test
  void aClusterThatEncryptsGivesTheTableOfTheEmbeddedSession() throws Exception {
    Path trusted = folder.resolve("trusted");
    Path state = trusted.resolve("state");
    Path events = folder.resolve("events-trusted");
    CommandRun run =
        submit(
            events,
            "encrypt",
            "--on-cluster",
            "--client",
            compiled + "/client",
            "--keys",
            folder + "/keys",
            "--input",
            records.toString(),
            "--state",
            state.toString(),
            "--out",
            trusted + "/blocks");
    assertEquals(0, run.status(), run.err());
    assertTrue(run.out().contains("encrypt: " + RECORDS + " records"), run.out());
    SparkSession spark = Digits.session();
    HybridModel model = Digits.load(compiled);
    org.apache.hadoop.fs.Path blocks = Digits.hadoop(trusted.resolve("blocks"));
    org.apache.hadoop.fs.Path results = Digits.hadoop(trusted.resolve("results"));
    try (ClientKey key = ClientKey.load(folder.resolve("keys/client.key"));
        ExchangeSession session = model.exchange(spark, key);
        EvaluationJob evaluation =
            EvaluationJob.open(
                spark, Digits.hadoop(compiled.resolve("server")), List.of(), List.of())) {
      RoundReport report;
      do {
        evaluation.run(blocks, results);
        report =
            session.decrypt(
                state,
                results,
                Optional.of(blocks),
                Optional.of(Digits.hadoop(trusted.resolve("scored"))),
                false,
                ScoreProgress.SILENT);
      } while (!report.isScored());
    }
    assertEquals(embedded, Digits.read(spark, trusted.resolve("scored")));
    spark.stop();
    assertNoKeyBytes(files(events));
    assertNoKeyBytes(files(folder.resolve("cluster")));
    assertNoKeyBytes(files(trusted));
  }

  /** The driver's key is in no file that the workers or the event log left. */
  private static void assertNoKeyBytes(List<Path> files) throws IOException {
    byte[] key = Files.readAllBytes(folder.resolve("keys/client.key"));
    int searched = 0;
    for (Path file : files) {
      String text;
      try {
        text = Files.readString(file, StandardCharsets.ISO_8859_1);
      } catch (NoSuchFileException error) {
        // Of an executor that is ending, and removes its temporary files.
        continue;
      }
      searched++;
      for (int start = 72; start + 16 < key.length; start += 64) {
        byte[] piece = Arrays.copyOfRange(key, start, start + 12);
        assertFalse(text.contains(new String(piece, StandardCharsets.ISO_8859_1)), file.toString());
      }
    }
    assertTrue(searched > 0, "files searched");
  }

  @Test
  void badInputEndsTheSubmittedJobWithStatusTwo() throws Exception {
    Path output = folder.resolve("failed");
    CommandRun run = submit(nan, output, folder.resolve("events-failed"));
    assertEquals(2, run.status(), run.err());
    assertEquals(
        1,
        run.err().lines().filter(line -> line.startsWith("fhe-spark score: ")).count(),
        run.err());
    assertTrue(run.err().contains("pixels"), run.err());
    assertFalse(Files.exists(output));
  }
}
