package org.fhespark.jobs.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.ExchangeSession;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.RoundReport;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.jobs.server.EvaluationJob;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Artefacts, records, blocks and results on HDFS; only the client's state is local. */
class HdfsTest {
  /** Several waves. */
  private static final int RECORDS = 10_000;

  private static SparkSession spark;
  private static MiniDFSCluster cluster;
  private static FileSystem hdfs;
  private static HybridModel model;
  private static ClientKey key;
  private static List<Row> expected;

  @BeforeAll
  static void start() throws Exception {
    spark =
        Digits.session(
            SparkSettings.addTo(new SparkConf()).set("spark.fhe.score.partRecords", "500"));
    Configuration conf = new Configuration();
    conf.set(
        MiniDFSCluster.HDFS_MINIDFS_BASEDIR, Digits.newFolder("hdfs").toAbsolutePath().toString());
    cluster = new MiniDFSCluster.Builder(conf).numDataNodes(1).format(true).build();
    cluster.waitClusterUp();
    hdfs = cluster.getFileSystem();

    // Small blocks, so that they are several.
    java.nio.file.Path compiled =
        Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).expectedBatch(64).build());
    hdfs.copyFromLocalFile(Digits.hadoop(compiled), path("model"));
    List<Row> images = Digits.images(spark);
    List<Row> table = new ArrayList<>();
    for (int i = 0; i < RECORDS; i++) {
      table.add(images.get(i % images.size()));
    }
    java.nio.file.Path records = Digits.write(spark, "records", Digits.schema(), table);
    hdfs.copyFromLocalFile(Digits.hadoop(records), path("records"));
    model = HybridModel.load(path("model/client"), path("model/server"), conf);
    key = model.newKey();
    java.nio.file.Path embedded = Digits.newFolder("embedded").resolve("scored");
    try (HybridSession session = Digits.load(compiled).session(spark, Mode.EXECUTE, key)) {
      session.score(Digits.hadoop(records), Digits.hadoop(embedded), false, ScoreProgress.SILENT);
    }
    expected = Digits.read(spark, embedded);
    assertEquals(RECORDS, expected.size());
  }

  @AfterAll
  static void stop() {
    if (key != null) {
      key.close();
    }
    if (cluster != null) {
      cluster.shutdown();
    }
    spark.stop();
  }

  private static Path path(String name) {
    return new Path(hdfs.getUri() + "/zone/" + name);
  }

  private static List<Row> read(Path table) {
    List<Row> rows = new ArrayList<>();
    try (TableReader reader = TableReader.open(spark, table)) {
      reader.rows().forEachRemaining(rows::add);
    }
    return rows;
  }

  private static int files(Path folder) throws Exception {
    int files = 0;
    for (FileStatus file : hdfs.listStatus(folder)) {
      files += file.getPath().getName().endsWith(".parquet") ? 1 : 0;
    }
    return files;
  }

  @Test
  void scoreReadsAndWritesThere() {
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.score(path("records"), path("scored"), false, ScoreProgress.SILENT);
    }
    assertEquals(expected, read(path("scored")));
  }

  @Test
  void aRunGoesOnFromWhatAnotherFinishedThere() throws Exception {
    ScoreProgress ending =
        new ScoreProgress() {
          @Override
          public void recordsDone(long records) {
            throw new IllegalStateException("ended by the test");
          }
        };
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      assertThrows(
          IllegalStateException.class,
          () -> session.score(path("records"), path("resumed/scored"), false, ending));
      assertFalse(hdfs.exists(path("resumed/scored")));
      ScoreReport report =
          session.score(path("records"), path("resumed/scored"), false, ScoreProgress.SILENT);
      assertTrue(report.takenOver() > 0 && report.takenOver() < RECORDS, report.toString());
    }
    assertEquals(expected, read(path("resumed/scored")));
    assertEquals(1, hdfs.listStatus(path("resumed")).length, "left beside the output");
  }

  @Test
  void jobsApartHandBlocksOverThere() throws Exception {
    java.nio.file.Path state = Digits.newFolder("client").resolve("state");
    Path blocks = path("exchange/blocks");
    Path results = path("exchange/results");
    Path scored = path("exchange/scored");
    try (ExchangeSession session = model.exchange(spark, key);
        EvaluationJob server =
            EvaluationJob.open(spark, path("model/server"), List.of(), List.of())) {
      RoundReport report = session.encrypt(path("records"), state, blocks, ScoreProgress.SILENT);
      assertTrue(files(blocks) > 1, "a file a wave");
      while (!report.isScored()) {
        assertEquals(report.blocks(), server.run(blocks, results).blocks());
        assertEquals(0, server.run(blocks, results).blocks());
        report =
            session.decrypt(
                state,
                results,
                Optional.of(blocks),
                Optional.of(scored),
                false,
                ScoreProgress.SILENT);
      }
      assertEquals(4, report.round());
    }
    assertEquals(expected, read(scored));
  }
}
