package org.fhespark.jobs.cluster;

import static org.fhespark.jobs.client.SameFiles.assertSameFiles;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
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
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.jobs.server.EvaluationJob;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * SIGKILL at random moments, on a standalone cluster. The seed of the moments is printed; {@code
 * -Dfhe.kill.seed=NUMBER} gives them again.
 */
@Tag("slow")
class KillTest {
  private static final int RECORDS = 100_000;
  private static final int PART_RECORDS = 4096;

  /** Of drivers and of executors that score. */
  private static final int KILLS = 10;

  /** Of drivers that write one table, so that several tables are finished. */
  private static final int MOST_KILLS_OF_A_TABLE = 3;

  /** Of those that evaluate. */
  private static final int EVALUATION_KILLS = 4;

  private static final int MOST_SECONDS = 600;

  private static final String PART_SETTING = "spark.fhe.score.partRecords";
  private static final Pattern PART = Pattern.compile("[0-9a-f]{64}-.*\\.parquet");
  private static final Pattern TAKEN_OVER =
      Pattern.compile("(\\d+) of them were finished by an earlier run");

  private static Random random;
  private static StandaloneCluster cluster;
  private static Path folder;
  private static Path compiled;
  private static Path records;

  @BeforeAll
  static void start() throws Exception {
    long seed = Long.getLong("fhe.kill.seed", new SecureRandom().nextLong());
    random = new Random(seed);
    say("seed " + seed);
    folder = Digits.newFolder("kills");
    SparkSession spark = Digits.session();
    List<Row> images = Digits.images(spark);
    List<Row> table = new ArrayList<>();
    for (int i = 0; i < RECORDS; i++) {
      Row image = images.get(i % images.size());
      table.add(RowFactory.create((long) i, image.get(1), image.get(2), image.get(3)));
    }
    records = Digits.write(spark, "records", Digits.schema(), table);
    compiled = Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).build());
    try (ClientKey key = Digits.load(compiled).newKey()) {
      key.save(folder.resolve("keys/client.key"));
    }
    spark.stop();
    cluster = StandaloneCluster.start(folder.resolve("cluster"));
  }

  @AfterAll
  static void stop() throws Exception {
    if (cluster != null) {
      cluster.close();
    }
  }

  private static void say(String what) {
    System.out.println("KillTest: " + what);
  }

  /** A command of ours under spark-submit, which becomes the driver. */
  private record Driver(Process process, Path out, Path err) {
    static Driver start(List<String> arguments) throws IOException {
      Path said = Digits.newFolder("driver");
      ProcessBuilder builder =
          new ProcessBuilder(
                  cluster.submission(
                      Map.of(PART_SETTING, Integer.toString(PART_RECORDS)), arguments))
              .redirectOutput(said.resolve("out").toFile())
              .redirectError(said.resolve("err").toFile());
      builder.environment().putAll(cluster.environment());
      return new Driver(builder.start(), said.resolve("out"), said.resolve("err"));
    }

    /** Whether it was killed before it ended by itself. */
    boolean killAfter(long millis) throws InterruptedException {
      if (process.waitFor(millis, TimeUnit.MILLISECONDS)) {
        return false;
      }
      process.destroyForcibly().waitFor();
      return true;
    }

    /** The same, so long after a part of its table is finished. */
    boolean killAfterPart(Path output, long millis) throws Exception {
      while (process.isAlive() && !hasFinishedPart(output)) {
        TimeUnit.MILLISECONDS.sleep(20);
      }
      return killAfter(millis);
    }

    String await() throws Exception {
      if (!process.waitFor(MOST_SECONDS, TimeUnit.SECONDS)) {
        CommandRun stacks =
            ChildProcess.run(
                List.of(
                    Path.of(System.getProperty("java.home"), "bin", "jstack").toString(),
                    Long.toString(process.pid())),
                Map.of());
        process.destroyForcibly().waitFor();
        throw new AssertionError(
            "it runs on after "
                + MOST_SECONDS
                + " s; it said: "
                + Files.readString(err)
                + stacks.out());
      }
      assertEquals(0, process.exitValue(), Files.readString(err));
      return Files.readString(out);
    }
  }

  private static boolean hasFinishedPart(Path output) throws IOException {
    try (Stream<Path> beside = Files.list(output.getParent())) {
      for (Path unfinished : beside.toList()) {
        if (unfinished.getFileName().toString().startsWith("." + output.getFileName() + ".")) {
          try (Stream<Path> parts = Files.walk(unfinished)) {
            return parts.anyMatch(file -> PART.matcher(file.getFileName().toString()).matches());
          } catch (UncheckedIOException | NoSuchFileException error) {
            // It is renamed just now.
            return false;
          }
        }
      }
    }
    return false;
  }

  private static List<String> score(Path output) {
    return List.of(
        "score",
        "--mode",
        "execute",
        "--client",
        compiled + "/client",
        "--server",
        compiled + "/server",
        "--keys",
        folder + "/keys",
        "--input",
        records.toString(),
        "--output",
        output.toString());
  }

  private static List<String> evaluate(Path blocks, Path results) {
    return List.of(
        "evaluate",
        "--server",
        compiled + "/server",
        "--input",
        blocks.toString(),
        "--out",
        results.toString());
  }

  /** A session of this process, whose executors are the cluster's. */
  private static SparkSession session() {
    return SparkSession.builder()
        .config(SparkSettings.addTo(new SparkConf()))
        .master(cluster.master())
        .appName("kills")
        .config("spark.jars", cluster.jar().toString())
        .config("spark.executor.memory", "512m")
        .config("spark.cores.max", "2")
        .config("spark.scheduler.minRegisteredResourcesRatio", "1.0")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config(PART_SETTING, PART_RECORDS)
        .getOrCreate();
  }

  private static List<String> names(Path in) throws IOException {
    try (Stream<Path> inside = Files.list(in)) {
      return inside.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private static List<ProcessHandle> executors(SparkSession spark) {
    String application = spark.sparkContext().applicationId();
    return ProcessHandle.allProcesses()
        .filter(
            process -> {
              try {
                String line =
                    Files.readString(Path.of("/proc", Long.toString(process.pid()), "cmdline"));
                return line.contains("CoarseGrainedExecutorBackend") && line.contains(application);
              } catch (IOException error) {
                // It has ended.
                return false;
              }
            })
        .toList();
  }

  /**
   * Kills an executor while something runs, again and again until it was killed so many times.
   *
   * @param run does it once; is given how often it was done before
   */
  private static void killExecutors(SparkSession spark, int kills, RunOnce run) throws Exception {
    long start = System.nanoTime();
    run.accept(0);
    long millis = (System.nanoTime() - start) / 1_000_000;
    say("an undisturbed run takes " + millis + " ms");
    int killed = 0;
    for (int times = 1; killed < kills; times++) {
      long moment = random.nextLong(millis);
      int which = random.nextInt(2);
      CompletableFuture<Boolean> killing =
          CompletableFuture.supplyAsync(
              () -> {
                try {
                  TimeUnit.MILLISECONDS.sleep(moment);
                  List<ProcessHandle> executors = executors(spark);
                  return !executors.isEmpty()
                      && executors.get(which % executors.size()).destroyForcibly();
                } catch (InterruptedException error) {
                  throw new IllegalStateException(error);
                }
              });
      run.accept(times);
      boolean isKilledMeanwhile = killing.isDone() && killing.get();
      killing.get();
      killed += isKilledMeanwhile ? 1 : 0;
      say(
          "an executor "
              + (isKilledMeanwhile ? "was killed after " : "outlived the run; moment ")
              + moment
              + " ms");
      assertTrue(times < 5 * kills, "executors were killed only " + killed + " times");
    }
  }

  private interface RunOnce {
    void accept(int times) throws Exception;
  }

  @Test
  void killedDriversLeaveTheTableOfAnUndisturbedRun() throws Exception {
    Path outputs = Files.createDirectory(folder.resolve("drivers"));
    Path undisturbed = outputs.resolve("undisturbed");
    long start = System.nanoTime();
    Driver.start(score(undisturbed)).await();
    long millis = (System.nanoTime() - start) / 1_000_000;
    say("score: an undisturbed driver runs " + millis + " ms");
    List<String> expected = new ArrayList<>(List.of("undisturbed"));
    int kills = 0;
    long takenOver = 0;
    while (kills < KILLS) {
      String name = "table-" + expected.size();
      Path output = outputs.resolve(name);
      String said = null;
      int killsOfTable = 0;
      while (said == null) {
        Driver driver = Driver.start(score(output));
        // Much of a run is start-up: every other moment is one of those that come behind it.
        boolean isLate = kills % 2 == 1;
        long moment = random.nextLong(isLate ? millis / 4 : millis);
        boolean mayBeKilled = kills < KILLS && killsOfTable < MOST_KILLS_OF_A_TABLE;
        if (mayBeKilled
            && (isLate ? driver.killAfterPart(output, moment) : driver.killAfter(moment))) {
          kills++;
          killsOfTable++;
          say("score: driver killed " + moment + " ms after " + (isLate ? "a part" : "its start"));
          if (Files.exists(output)) {
            say("score: it had written its table");
            said = "";
          }
          continue;
        }
        said = driver.await();
      }
      Matcher line = TAKEN_OVER.matcher(said);
      long ofTable = line.find() ? Long.parseLong(line.group(1)) : 0;
      say("score: " + name + " is done, " + ofTable + " records were taken over");
      takenOver += ofTable;
      assertSameFiles(undisturbed, output);
      expected.add(name);
    }
    assertEquals(expected.stream().sorted().toList(), names(outputs));
    assertTrue(takenOver > 0, "no record was taken over in " + KILLS + " kills");
  }

  @Test
  void aRunOutlivesItsExecutors() throws Exception {
    Path outputs = Files.createDirectory(folder.resolve("executors"));
    SparkSession spark = session();
    HybridModel model = Digits.load(compiled);
    try (ClientKey key = ClientKey.load(folder.resolve("keys/client.key"));
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      RunOnce score =
          times ->
              session.score(
                  Digits.hadoop(records),
                  Digits.hadoop(outputs.resolve("table-" + times)),
                  false,
                  ScoreProgress.SILENT);
      // The first run compiles code, and its moments would come late.
      score.accept(-1);
      killExecutors(
          spark,
          KILLS,
          times -> {
            score.accept(times);
            assertSameFiles(outputs.resolve("table--1"), outputs.resolve("table-" + times));
          });
    } finally {
      spark.stop();
    }
    assertFalse(
        names(outputs).stream().anyMatch(name -> name.startsWith(".")), "left beside the tables");
  }

  /** Blocks of results by number, of the files that count. */
  private static Map<Long, byte[]> results(SparkSession spark, Path results) {
    Map<Long, byte[]> blocks = new TreeMap<>();
    List<Row> rows =
        spark.read().parquet(results.toString()).select("number", "block").collectAsList();
    rows.forEach(row -> blocks.put(row.getLong(0), row.getAs(1)));
    assertEquals(rows.size(), blocks.size(), "results of one block are there twice");
    return blocks;
  }

  private static void assertSameResults(Map<Long, byte[]> expected, Map<Long, byte[]> actual) {
    assertEquals(expected.keySet(), actual.keySet());
    expected.forEach((number, block) -> assertArrayEquals(block, actual.get(number)));
  }

  @Test
  void evaluationOutlivesExecutorsAndKilledDrivers() throws Exception {
    Path apart = Files.createDirectory(folder.resolve("apart"));
    Path blocks = apart.resolve("blocks");
    SparkSession spark = session();
    Map<Long, byte[]> undisturbed = new TreeMap<>();
    try (ClientKey key = ClientKey.load(folder.resolve("keys/client.key"));
        ExchangeSession exchange = Digits.load(compiled).exchange(spark, key);
        EvaluationJob job =
            EvaluationJob.open(
                spark, Digits.hadoop(compiled.resolve("server")), List.of(), List.of())) {
      exchange.encrypt(
          Digits.hadoop(records),
          apart.resolve("state"),
          Digits.hadoop(blocks),
          ScoreProgress.SILENT);
      job.run(Digits.hadoop(blocks), Digits.hadoop(apart.resolve("undisturbed")));
      undisturbed.putAll(results(spark, apart.resolve("undisturbed")));
      assertTrue(undisturbed.size() > 10, undisturbed.size() + " blocks");
      killExecutors(
          spark,
          EVALUATION_KILLS,
          times -> {
            Path results = apart.resolve("results-" + times);
            job.run(Digits.hadoop(blocks), Digits.hadoop(results));
            assertSameResults(undisturbed, results(spark, results));
          });
    } finally {
      spark.stop();
    }

    List<Path> tables = new ArrayList<>();
    long start = System.nanoTime();
    tables.add(apart.resolve("driven-0"));
    Driver.start(evaluate(blocks, tables.get(0))).await();
    long millis = (System.nanoTime() - start) / 1_000_000;
    say("evaluate: an undisturbed driver runs " + millis + " ms");
    int kills = 0;
    while (kills < EVALUATION_KILLS) {
      Path results = apart.resolve("driven-" + tables.size());
      boolean isDone = false;
      while (!isDone) {
        Driver driver = Driver.start(evaluate(blocks, results));
        long moment = random.nextLong(millis);
        if (kills < EVALUATION_KILLS && driver.killAfter(moment)) {
          kills++;
          say("evaluate: driver killed after " + moment + " ms");
        } else {
          driver.await();
          isDone = true;
        }
      }
      tables.add(results);
    }
    SparkSession embedded = Digits.session();
    for (Path results : tables) {
      assertSameResults(undisturbed, results(embedded, results));
    }
    embedded.stop();
  }
}
