package org.fhespark.jobs.client;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Takes waves of batches through a schedule, some at a time and in order: while the executors
 * evaluate one wave the client encrypts the next. What is in memory is bounded by the waves in
 * flight.
 */
final class WavePipeline {
  private static final int WAVES_IN_FLIGHT = 2;

  private final Schedule schedule;

  WavePipeline(Schedule schedule) {
    this.schedule = schedule;
  }

  /**
   * Runs all waves; {@code finished} gets each, in order, on the calling thread.
   *
   * @param waves read on the calling thread, each only when there is room for it
   */
  void run(Iterator<List<Batch>> waves, Consumer<List<Batch>> finished) {
    ExecutorService runners =
        Executors.newFixedThreadPool(
            WAVES_IN_FLIGHT,
            task -> {
              Thread thread = new Thread(task, "fhe-spark-wave");
              thread.setDaemon(true);
              return thread;
            });
    Deque<Future<List<Batch>>> inFlight = new ArrayDeque<>();
    try {
      while (waves.hasNext() || !inFlight.isEmpty()) {
        while (inFlight.size() < WAVES_IN_FLIGHT && waves.hasNext()) {
          List<Batch> wave = waves.next();
          inFlight.add(
              runners.submit(
                  () -> {
                    schedule.run(wave);
                    return wave;
                  }));
        }
        finished.accept(ClientThreads.await(inFlight.remove()));
      }
    } finally {
      if (!inFlight.isEmpty()) {
        schedule.cancel();
      }
      // What the waves use is closed next, so none may still be running.
      runners.shutdown();
      awaitQuietly(runners);
    }
  }

  private static void awaitQuietly(ExecutorService runners) {
    boolean isInterrupted = false;
    boolean hasEnded = false;
    while (!hasEnded) {
      try {
        hasEnded = runners.awaitTermination(1, TimeUnit.MINUTES);
      } catch (InterruptedException error) {
        isInterrupted = true;
      }
    }
    if (isInterrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
