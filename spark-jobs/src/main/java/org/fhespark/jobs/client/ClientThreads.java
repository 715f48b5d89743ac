package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/** The threads of the client's arithmetic: as many as the driver has cores. */
final class ClientThreads implements AutoCloseable {
  private final ExecutorService executor;
  private final int cores;

  ClientThreads(int cores) {
    this.cores = cores;
    AtomicInteger number = new AtomicInteger();
    ThreadFactory daemons =
        task -> {
          Thread thread = new Thread(task, "fhe-spark-client-" + number.incrementAndGet());
          thread.setDaemon(true);
          return thread;
        };
    this.executor = Executors.newFixedThreadPool(cores, daemons);
  }

  /** The share of the cores of each of so many pieces of work at a time, at least one. */
  int coresEach(int pieces) {
    return Math.max(1, cores / pieces);
  }

  int cores() {
    return cores;
  }

  <T> Future<T> submit(Callable<T> task) {
    return executor.submit(task);
  }

  /** Runs the work on each element and waits for all of it. */
  <T> void forEach(Collection<T> elements, Consumer<T> work) {
    List<Future<?>> futures = new ArrayList<>();
    for (T element : elements) {
      futures.add(executor.submit(() -> work.accept(element)));
    }
    awaitAll(futures);
  }

  /**
   * Waits for all; the first failure is thrown once the others have ended, so that nothing runs on.
   */
  static void awaitAll(List<? extends Future<?>> futures) {
    Throwable failure = null;
    for (Future<?> future : futures) {
      try {
        await(future);
      } catch (RuntimeException | Error error) {
        failure = failure == null ? error : failure;
      }
    }
    if (failure instanceof Error error) {
      throw error;
    }
    if (failure instanceof RuntimeException error) {
      throw error;
    }
  }

  /**
   * The result of a task, or its failure as it was thrown. An interrupt is kept for later: the task
   * uses memory that its waiter will release.
   */
  static <T> T await(Future<T> future) {
    boolean isInterrupted = false;
    try {
      while (true) {
        try {
          return future.get();
        } catch (InterruptedException error) {
          isInterrupted = true;
        }
      }
    } catch (ExecutionException error) {
      if (error.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      if (error.getCause() instanceof Error cause) {
        throw cause;
      }
      throw new IllegalStateException(error.getCause());
    } finally {
      if (isInterrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public void close() {
    executor.shutdownNow();
  }
}
