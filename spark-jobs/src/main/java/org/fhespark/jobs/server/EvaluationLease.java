package org.fhespark.jobs.server;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.tables.CauseLine;

/**
 * Keeps a second job from adding results to a table while one does. Each job has a file of its own
 * below the table and writes it anew every few seconds, so nothing is asked of a file system but to
 * write, read and list. A job that was killed writes no more: the next waits to see that, unless
 * the process was of this machine.
 *
 * <p>It is there to say so at the start. Were two jobs to get past it, as when a machine stands
 * still for long, Spark's logs would still let one of them alone commit a batch.
 */
final class EvaluationLease implements AutoCloseable {
  private static final String FOLDER = "_evaluating";
  private static final long BEAT_MS = 2000;

  /** How long the file of a job that runs may stay as it is. */
  private static final long PATIENCE_MS = 5 * BEAT_MS;

  private static final long POLL_MS = 200;

  private enum State {
    TAKING,
    HOLDING
  }

  private final FileSystem files;
  private final Path results;
  private final Path file;
  private final ScheduledExecutorService timer =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread thread = new Thread(task, "fhe-spark-evaluation-lease");
            thread.setDaemon(true);
            return thread;
          });

  private State state = State.TAKING;
  private long beats;

  private EvaluationLease(Path results, Configuration conf) throws IOException {
    this.files = results.getFileSystem(conf);
    this.results = results;
    this.file = new Path(new Path(results, FOLDER), UUID.randomUUID().toString());
  }

  /**
   * Takes the lease of a table.
   *
   * @throws InvalidInputException if another job has it, or the table's folder cannot be written
   */
  static EvaluationLease take(Path results, Configuration conf) {
    try {
      EvaluationLease lease = new EvaluationLease(results, conf);
      try {
        lease.take();
        return lease;
      } catch (Throwable error) {
        lease.close();
        throw error;
      }
    } catch (IOException | FSError error) {
      throw new InvalidInputException(
          "results "
              + results
              + " cannot be written: "
              + CauseLine.of(error)
              + "; give a folder that you may write to, on a file system with room",
          error);
    }
  }

  /** What is said to the job that comes second. */
  static InvalidInputException taken(Path results, String by) {
    return new InvalidInputException(
        "results "
            + results
            + " are being written by "
            + by
            + ": end one of the two, or give each results of its own");
  }

  private void take() throws IOException {
    beat();
    timer.scheduleWithFixedDelay(this::tryBeat, BEAT_MS, BEAT_MS, TimeUnit.MILLISECONDS);
    for (Path other : others()) {
      giveWayTo(other);
    }
    synchronized (this) {
      state = State.HOLDING;
    }
    beat();
  }

  private List<Path> others() throws IOException {
    List<Path> others = new ArrayList<>();
    for (FileStatus found : files.listStatus(file.getParent())) {
      String name = found.getPath().getName();
      if (!name.equals(file.getName()) && !name.startsWith(".")) {
        others.add(found.getPath());
      }
    }
    return others;
  }

  /** Returns when another job is gone; of two that begin, the one whose name is first goes on. */
  private void giveWayTo(Path other) throws IOException {
    String seen = "";
    long since = System.nanoTime();
    while (true) {
      Optional<String> text = read(other);
      if (text.isEmpty()) {
        return;
      }
      if (!text.get().equals(seen)) {
        boolean isLater = !seen.isEmpty();
        seen = text.get();
        since = System.nanoTime();
        Optional<Holder> holder = Holder.of(seen);
        boolean isHere = holder.map(Holder::isOfThisMachine).orElse(false);
        if (isHere && !holder.get().isRunning()) {
          break;
        }
        boolean goesFirst =
            holder
                .map(
                    one ->
                        one.state == State.HOLDING || other.getName().compareTo(file.getName()) < 0)
                .orElse(false);
        if (goesFirst && (isHere || isLater)) {
          throw taken(results, "another job, process " + holder.get().process);
        }
      }
      if (System.nanoTime() - since > TimeUnit.MILLISECONDS.toNanos(PATIENCE_MS)) {
        break;
      }
      pause();
    }
    files.delete(other, false);
  }

  private static void pause() {
    try {
      Thread.sleep(POLL_MS);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw new CancellationException("the evaluation was interrupted");
    }
  }

  /** What a job last wrote; a text of no holder while it is writing, nothing once it has ended. */
  private Optional<String> read(Path other) {
    try (FSDataInputStream in = files.open(other)) {
      return Optional.of(new String(in.readAllBytes(), StandardCharsets.UTF_8));
    } catch (FileNotFoundException error) {
      return Optional.empty();
    } catch (IOException error) {
      return Optional.of("");
    }
  }

  private void tryBeat() {
    try {
      beat();
    } catch (IOException | RuntimeException | FSError error) {
      // What the job writes next will fail, and say so.
    }
  }

  private synchronized void beat() throws IOException {
    if (timer.isShutdown()) {
      return;
    }
    try (FSDataOutputStream out = files.create(file, true)) {
      String text = state + " " + Holder.MACHINE + " " + Holder.PROCESS + " " + beats++ + "\n";
      out.write(text.getBytes(StandardCharsets.UTF_8));
    }
  }

  /** Gives the lease back. */
  @Override
  public synchronized void close() {
    timer.shutdown();
    try {
      files.delete(file, false);
    } catch (IOException | RuntimeException error) {
      // The next job waits until it sees that this one is gone.
    }
  }

  /**
   * Who wrote a file.
   *
   * @param process its id and when it began, which no other has
   */
  private record Holder(State state, String machine, String process) {
    /** Of this boot and these process ids; unique if there is no telling. */
    static final String MACHINE = machineOfThis();

    static final String PROCESS = nameOf(ProcessHandle.current());

    static Optional<Holder> of(String text) {
      String[] words = text.strip().split(" ");
      if (!text.endsWith("\n") || words.length != 4) {
        return Optional.empty();
      }
      State state = words[0].equals(State.HOLDING.name()) ? State.HOLDING : State.TAKING;
      return Optional.of(new Holder(state, words[1], words[2]));
    }

    private static String machineOfThis() {
      try {
        String boot = Files.readString(java.nio.file.Path.of("/proc/sys/kernel/random/boot_id"));
        String ids = Files.readSymbolicLink(java.nio.file.Path.of("/proc/self/ns/pid")).toString();
        return boot.strip() + "/" + ids;
      } catch (IOException error) {
        return UUID.randomUUID().toString();
      }
    }

    private static String nameOf(ProcessHandle process) {
      return process.pid()
          + "@"
          + process.info().startInstant().map(start -> start.toEpochMilli()).orElse(0L);
    }

    boolean isOfThisMachine() {
      return machine.equals(MACHINE);
    }

    boolean isRunning() {
      try {
        long id = Long.parseLong(process.substring(0, process.indexOf('@')));
        return ProcessHandle.of(id).map(Holder::nameOf).filter(process::equals).isPresent();
      } catch (NumberFormatException | IndexOutOfBoundsException error) {
        return false;
      }
    }
  }
}
