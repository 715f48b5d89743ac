package org.fhespark.jobs.client;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Takes waves of batches through some work, some at a time and in order: while the executors
 * evaluate one wave the client encrypts the next. What is in memory is bounded by the waves in
 * flight.
 */
final class WavePipeline<W> {
  private static final int WAVES_IN_FLIGHT = 2;

  private final Consumer<W> work;
  private final Runnable cancel;

  /** Takes waves through a model. */
  static WavePipeline<List<Batch>> through(Schedule schedule) {
    return new WavePipeline<>(schedule::run, schedule::cancel);
  }

  /**
   * @param work what to do with each wave
   * @param cancel makes work that is under way end soon
   */
  WavePipeline(Consumer<W> work, Runnable cancel) {
    this.work = work;
    this.cancel = cancel;
  }

  /** How many of so many workers fall to a wave, beside the others in flight. */
  static int workersOfAWave(int workers) {
    return (workers + WAVES_IN_FLIGHT - 1) / WAVES_IN_FLIGHT;
  }

  /**
   * Does work that has no batches, once; it ends before this does.
   *
   * @throws CancellationException if the calling thread is interrupted
   */
  static void runOnce(Runnable work, Runnable cancel) {
    new WavePipeline<Runnable>(Runnable::run, cancel).run(List.of(work).iterator(), done -> {});
  }

  /**
   * Runs all waves; {@code finished} gets each, in order, on the calling thread.
   *
   * @param waves read on the calling thread, each only when there is room for it
   * @throws CancellationException if the calling thread is interrupted; the waves have ended then
   */
  void run(Iterator<W> waves, Consumer<W> finished) {
    ExecutorService runners =
        Executors.newFixedThreadPool(
            WAVES_IN_FLIGHT,
            task -> {
              Thread thread = new Thread(task, "fhe-spark-wave");
              thread.setDaemon(true);
              return thread;
            });
    Deque<Future<W>> inFlight = new ArrayDeque<>();
    try {
      while (waves.hasNext() || !inFlight.isEmpty()) {
        while (inFlight.size() < WAVES_IN_FLIGHT && waves.hasNext()) {
          W wave = waves.next();
          inFlight.add(
              runners.submit(
                  () -> {
                    work.accept(wave);
                    return wave;
                  }));
        }
        awaitInterruptibly(inFlight.peek());
        finished.accept(ClientThreads.await(inFlight.remove()));
      }
    } finally {
      // What the waves use is closed next, so none may still be running.
      runners.shutdown();
      boolean isInterrupted = false;
      boolean hasEnded = inFlight.isEmpty();
      while (!hasEnded) {
        // Again and again: a wave may submit its job just after the others were cancelled.
        cancel.run();
        try {
          hasEnded = runners.awaitTermination(1, TimeUnit.SECONDS);
        } catch (InterruptedException error) {
          isInterrupted = true;
        }
      }
      if (isInterrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Waits for a wave to end, well or not. */
  private static void awaitInterruptibly(Future<?> wave) {
    try {
      wave.get();
    } catch (ExecutionException error) {
      // Thrown to the caller when its result is taken.
      return;
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw new CancellationException("the run was interrupted");
    }
  }
}
