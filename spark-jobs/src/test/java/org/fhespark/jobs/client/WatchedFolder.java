package org.fhespark.jobs.client;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.server.EvaluationJob;

/** The other side of an exchange: evaluates what appears in a folder, on a thread of its own. */
final class WatchedFolder implements AutoCloseable {
  private final CompletableFuture<Void> ended = new CompletableFuture<>();
  private final Thread watcher;

  WatchedFolder(SparkSession spark, Path server, Path folder) {
    this.watcher =
        new Thread(
            () -> {
              try (EvaluationJob job =
                  EvaluationJob.open(spark, Digits.hadoop(server), List.of(), List.of())) {
                job.watch(
                    Digits.hadoop(folder.resolve("blocks")),
                    Digits.hadoop(folder.resolve("results")),
                    Duration.ofMillis(200));
              } catch (CancellationException interrupted) {
                ended.complete(null);
              } catch (Throwable error) {
                ended.completeExceptionally(error);
              }
            });
    watcher.start();
  }

  @Override
  public void close() throws ExecutionException, InterruptedException {
    watcher.interrupt();
    ended.get();
    watcher.join();
  }
}
