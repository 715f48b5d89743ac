package org.fhespark.jobs.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.cli.ChildJvm;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Two executors that are processes of their own, with the driver in a third. */
class LocalClusterTest {
  private static List<Row> embedded;
  private static List<Row> clustered;
  private static String said;

  @BeforeAll
  static void scoreOnBoth() throws Exception {
    SparkSession spark = Digits.session();
    // Small blocks, so that there is work for both.
    Path compiled =
        Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).expectedBatch(64).build());
    HybridModel model = Digits.load(compiled);
    Path folder = Digits.newFolder("cluster");
    Path keyFile = folder.resolve("client.key");
    Path input = Digits.file("digits.parquet");
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      key.save(keyFile);
      session.score(
          Digits.hadoop(input),
          Digits.hadoop(folder.resolve("embedded")),
          false,
          ScoreProgress.SILENT);
    }
    CommandRun run =
        new ChildJvm()
            .executors(folder)
            .run(
                LocalClusterProgram.class,
                List.of(
                    compiled.toString(),
                    keyFile.toString(),
                    input.toString(),
                    folder.resolve("clustered").toString()));
    assertEquals(0, run.status(), run.err());
    said = run.out();
    embedded = Digits.read(spark, folder.resolve("embedded"));
    clustered = Digits.read(spark, folder.resolve("clustered"));
    spark.stop();
  }

  private static void assertSaid(String line) {
    assertTrue(said.lines().anyMatch(each -> each.startsWith(line)), line + " is not in: " + said);
  }

  @Test
  void twoExecutorsGiveTheTableOfTheEmbeddedOne() {
    assertEquals(Digits.IMAGES, clustered.size());
    assertEquals(embedded, clustered);
  }

  @Test
  void bothExecutorsEvaluateBlocks() {
    assertSaid("executors with tasks: [0, 1]");
  }

  @Test
  void metricsOfExecutorsHaveTheirBlocks() {
    assertSaid("executors' metrics have blocks: true");
  }

  @Test
  void masksArePreparedByTheExecutors() {
    assertSaid("prepared: 120 slots, same values true");
    assertSaid("prepared again: 120 slots");
  }

  @Test
  void forwardTakesRecordsThatAreOnTheDriver() {
    assertSaid("local relation: 5");
    assertSaid("projected local relation: 5");
    assertSaid("computed local relation: 2");
  }

  @Test
  void forwardRefusesRecordsThatExecutorsWouldCompute() {
    for (String kind : List.of("table", "sorted", "repartitioned", "cached")) {
      assertSaid(kind + ": refused, forward: the executors would compute these records in clear");
    }
  }

  @Test
  void aClosureWithTheKeyNeverReachesAnExecutor() {
    assertSaid("key: refused, Task not serializable");
  }
}
