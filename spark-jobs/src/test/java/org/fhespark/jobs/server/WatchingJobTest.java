package org.fhespark.jobs.server;

import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.SparkSettings;
import org.junit.jupiter.api.Test;

/** What a job that goes on and on keeps on the driver. */
class WatchingJobTest {
  private static final int KEPT = 3;

  @Test
  void aJobThatWatchesKeepsNoMoreOfItsPastThanSparkIsToldTo() throws Exception {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .set("spark.sql.streaming.numRecentProgressUpdates", Integer.toString(KEPT))
            // Of every look that finds nothing, too.
            .set("spark.sql.streaming.noDataProgressEventInterval", "0");
    SparkSession spark = Digits.session(conf);
    Path folder = Digits.newFolder("watched");
    AtomicReference<Throwable> ended = new AtomicReference<>();
    try (EvaluationJob job =
        EvaluationJob.open(
            spark, Digits.hadoop(Digits.compiled(spark).resolve("server")), List.of(), List.of())) {
      Thread watching =
          new Thread(
              () -> {
                try {
                  job.watch(
                      Digits.hadoop(folder.resolve("blocks")),
                      Digits.hadoop(folder.resolve("results")),
                      Duration.ofMillis(20));
                } catch (Throwable error) {
                  ended.set(error);
                }
              });
      watching.start();
      Set<String> seen = new HashSet<>();
      while (seen.size() <= 3 * KEPT) {
        assertTrue(watching.isAlive(), () -> "ended: " + ended.get());
        for (StreamingQuery query : queries(spark)) {
          if (query.lastProgress() != null) {
            seen.add(query.lastProgress().timestamp());
          }
          int kept = query.recentProgress().length;
          assertTrue(kept <= KEPT, kept + " are kept");
        }
        Thread.sleep(5);
      }
      while (watching.isAlive()) {
        watching.interrupt();
        watching.join(1000);
      }
      assertInstanceOf(CancellationException.class, ended.get());
    } finally {
      spark.stop();
    }
  }

  /** Those of all sessions: the job has one of its own. */
  private static List<StreamingQuery> queries(SparkSession spark) {
    return List.copyOf(
        ((org.apache.spark.sql.classic.SparkSession) spark)
            .sharedState()
            .activeStreamingQueries()
            .values());
  }
}
