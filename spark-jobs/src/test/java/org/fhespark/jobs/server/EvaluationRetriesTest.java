package org.fhespark.jobs.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.ExchangeSession;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.RoundReport;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.metrics.EvaluatedBlocks;
import org.fhespark.metrics.EvaluationAccumulators;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.Test;

/** Jobs apart whose tasks fail behind their work and are run again. */
class EvaluationRetriesTest {
  private static final int IMAGES = 200;

  /** The local one, of which some files cannot be closed. */
  public static final class FailingFileSystem extends RawLocalFileSystem {
    static final AtomicInteger FAILURES_LEFT = new AtomicInteger();

    @Override
    public String getScheme() {
      return "failing";
    }

    @Override
    public URI getUri() {
      return URI.create("failing:///");
    }

    @Override
    public FSDataOutputStream create(
        org.apache.hadoop.fs.Path path,
        FsPermission permission,
        boolean overwrite,
        int bufferSize,
        short replication,
        long blockSize,
        Progressable progress)
        throws IOException {
      return failing(
          path,
          super.create(path, permission, overwrite, bufferSize, replication, blockSize, progress));
    }

    @Override
    public FSDataOutputStream create(
        org.apache.hadoop.fs.Path path,
        boolean overwrite,
        int bufferSize,
        short replication,
        long blockSize,
        Progressable progress)
        throws IOException {
      return failing(
          path, super.create(path, overwrite, bufferSize, replication, blockSize, progress));
    }

    private static FSDataOutputStream failing(
        org.apache.hadoop.fs.Path path, FSDataOutputStream file) throws IOException {
      if (!path.getName().startsWith("part-")) {
        return file;
      }
      OutputStream out =
          new FilterOutputStream(file) {
            private boolean isClosed;

            @Override
            public void write(byte[] bytes, int from, int length) throws IOException {
              out.write(bytes, from, length);
            }

            @Override
            public void close() throws IOException {
              super.close();
              if (!isClosed && FAILURES_LEFT.getAndDecrement() > 0) {
                isClosed = true;
                throw new IOException("this file was not to be closed");
              }
              isClosed = true;
            }
          };
      return new FSDataOutputStream(out, null);
    }
  }

  @Test
  void accumulatorsOfEvaluateCountABlockOnceWhoseTaskWasRunAgain() throws Exception {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            // Three attempts of a task.
            .setMaster("local[2,3]")
            .setAppName("retries")
            .set("spark.ui.enabled", "false")
            .set("spark.hadoop.fs.failing.impl", FailingFileSystem.class.getName());
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    try {
      Path compiled = Digits.compile(spark, CompileOptions.remote(List.of("seq.4")).build());
      Path folder = Digits.newFolder("retries");
      List<Row> images = Digits.images(spark).subList(0, IMAGES);
      Path records = Digits.write(spark, "records", Digits.schema(), images);
      org.apache.hadoop.fs.Path blocks = Digits.hadoop(folder.resolve("blocks"));
      org.apache.hadoop.fs.Path results =
          new org.apache.hadoop.fs.Path("failing://" + folder.resolve("results"));
      HybridModel model = Digits.load(compiled);
      try (ClientKey key = model.newKey();
          ExchangeSession session = model.exchange(spark, key);
          EvaluationJob job =
              EvaluationJob.open(
                  spark, Digits.hadoop(compiled.resolve("server")), List.of(), List.of())) {
        RoundReport sent =
            session.encrypt(
                Digits.hadoop(records), folder.resolve("state"), blocks, ScoreProgress.SILENT);
        FailingFileSystem.FAILURES_LEFT.set(2);
        EvaluatedBlocks before = EvaluationAccumulators.of(spark.sparkContext()).total();
        EvaluationReport report = job.run(blocks, results);
        EvaluatedBlocks after = EvaluationAccumulators.of(spark.sparkContext()).total();
        assertTrue(FailingFileSystem.FAILURES_LEFT.get() <= 0, "both failures were met");
        assertEquals(sent.blocks(), report.blocks());
        assertEquals(sent.blocks(), after.blocks() - before.blocks());
        assertEquals(IMAGES, after.records() - before.records());
        assertEquals(sent.bytes(), after.bytesUp() - before.bytesUp());
        // What was committed is whole.
        RoundReport scored =
            session.decrypt(
                folder.resolve("state"),
                Digits.hadoop(folder.resolve("results")),
                Optional.of(blocks),
                Optional.of(Digits.hadoop(folder.resolve("scored"))),
                false,
                ScoreProgress.SILENT);
        assertTrue(scored.isScored());
        assertTrue(Files.exists(folder.resolve("scored")));
      }
    } finally {
      spark.stop();
    }
  }
}
