package org.fhespark.jobs.client;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkStatusTracker;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.NativeLibrary;
import org.fhespark.nativelib.NativeMemory;
import org.fhespark.udf.DirectMemory;

/**
 * Evaluates, fails and is cancelled again and again, and says after each round what native memory
 * is left. Arguments: a compiled model, the same compiled to be looked up, a folder with the keys
 * of that.
 */
final class NativeMemoryProgram {
  private static final int ROUNDS = 5;
  private static final int PREPARED_ROWS = 16;

  private final SparkSession spark;
  private final List<Row> images;

  private NativeMemoryProgram(SparkSession spark) {
    this.spark = spark;
    this.images = Digits.images(spark);
  }

  public static void main(String[] arguments) throws Exception {
    SparkSession spark = Digits.session();
    NativeMemoryProgram program = new NativeMemoryProgram(spark);
    HybridModel linear = Digits.load(Path.of(arguments[0]));
    HybridModel lookups = Digits.load(Path.of(arguments[1]));
    Path keys = Path.of(arguments[2]);
    for (int round = 0; round < ROUNDS; round++) {
      program.score(linear);
      program.fail(linear);
      program.cancel(linear);
      try (ClientKey key = ClientKey.load(keys.resolve(KeyFolder.CLIENT_KEY));
          HybridSession session = lookups.session(spark, Mode.EXECUTE, key, keys)) {
        session.forward(program.table(1)).collectAsList();
      }
      print(round);
    }
    spark.stop();
  }

  private Dataset<Row> table(int records) {
    return spark.createDataFrame(images.subList(0, records), Digits.schema());
  }

  private void score(HybridModel model) {
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.forward(table(Digits.IMAGES)).collectAsList();
      session.prepare(PREPARED_ROWS);
      session.forward(table(PREPARED_ROWS / 2)).collectAsList();
    }
  }

  private void fail(HybridModel model) {
    List<Row> bad = new ArrayList<>(images);
    float[] nan = new float[64];
    nan[5] = Float.NaN;
    bad.add(RowFactory.create(-1L, nan, 0L, "test"));
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.forward(spark.createDataFrame(bad, Digits.schema()));
      throw new IllegalStateException("a NaN was scored");
    } catch (InvalidInputException expected) {
      // It names the record.
    }
  }

  /** Interrupted as soon as blocks are on their way: Spark kills their tasks. */
  private void cancel(HybridModel model) throws Exception {
    Path input = Digits.file("digits.parquet");
    Path output = Digits.newFolder("cancelled").resolve("scored");
    Thread caller = Thread.currentThread();
    ScoreProgress interrupting =
        new ScoreProgress() {
          @Override
          public void blocksSent(String modules, int blocks) {
            caller.interrupt();
          }
        };
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      try {
        session.score(Digits.hadoop(input), Digits.hadoop(output), false, interrupting);
        throw new IllegalStateException("the run was not interrupted");
      } catch (CancellationException expected) {
        Thread.interrupted();
      }
      // A task that starts when the session is closed keeps its circuit for two minutes.
      await(this::isIdle);
    }
  }

  /** No job runs and no task; what Spark's listeners have yet to hear of is heard first. */
  private boolean isIdle() {
    SparkContext context = spark.sparkContext();
    try {
      context.listenerBus().waitUntilEmpty();
    } catch (TimeoutException error) {
      throw new IllegalStateException(error);
    }
    SparkStatusTracker tracker = context.statusTracker();
    return tracker.getActiveJobIds().length == 0
        && Stream.of(tracker.getExecutorInfos())
            .allMatch(executor -> executor.numRunningTasks() == 0);
  }

  private static void print(int round) throws InterruptedException {
    await(() -> NativeLibrary.openHandles() == 0 && inUse() == 0);
    System.out.println(
        "round "
            + round
            + ": handles "
            + NativeLibrary.openHandles()
            + ", bytes in use "
            + inUse()
            + ", heap "
            + NativeMemory.heapBytes());
  }

  /** What the collector has not found yet is lost, not leaked: it is given some time. */
  static void await(BooleanSupplier isReleased) throws InterruptedException {
    for (int look = 0; look < 100 && !isReleased.getAsBoolean(); look++) {
      System.gc();
      Thread.sleep(50);
    }
  }

  /** Bytes of buffers and results that are not kept for others. */
  static long inUse() {
    return NativeMemory.liveBytes()
        - DirectMemory.shared().idleBytes()
        + NativeMemory.resultBytes()
        - NativeMemory.idleResultBytes();
  }
}
