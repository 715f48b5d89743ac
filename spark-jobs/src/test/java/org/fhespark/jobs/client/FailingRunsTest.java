package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.cli.ChildJvm;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.NativeLibrary;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Runs that end early, with waves still under way. */
class FailingRunsTest {
  private static SparkSession spark;

  /** Only the last module is remote, so that clear segments have work to do. */
  private static HybridModel model;

  private static ClientKey key;

  /** Enough images for several waves; the last holds a NaN. */
  private static Path table;

  @BeforeAll
  static void start() {
    spark = Digits.session();
    model = Digits.load(Digits.compile(spark, CompileOptions.remote(List.of("seq.4")).build()));
    key = model.newKey();
    List<Row> images = Digits.images(spark);
    List<Row> records = new ArrayList<>();
    int batch = model.specs().remote().get(0).parameters().maxRecords();
    for (int i = 0; i < 6 * batch; i++) {
      records.add(images.get(i % Digits.IMAGES));
    }
    float[] nan = new float[64];
    nan[5] = Float.NaN;
    records.add(RowFactory.create(-1L, nan, 0L, "test"));
    table = Digits.write(spark, "late-nan", Digits.schema(), records);
  }

  @AfterAll
  static void stop() {
    key.close();
    spark.stop();
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "REMOTE")
  void aSessionWhoseRunFailedScoresTheNextOne(Mode mode) {
    Dataset<Row> images =
        spark.createDataFrame(Digits.images(spark).subList(0, 40), Digits.schema());
    float[] nan = new float[64];
    nan[5] = Float.NaN;
    Dataset<Row> bad =
        spark.createDataFrame(List.of(RowFactory.create(-1L, nan, 0L, "test")), Digits.schema());
    try (HybridSession session = model.session(spark, mode, key)) {
      List<Row> expected = session.forward(images).collectAsList();
      assertThrows(InvalidInputException.class, () -> session.forward(bad));
      assertEquals(expected, session.forward(images).collectAsList());
    }
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "REMOTE")
  void aLateNanEndsTheRunAndLeavesNothing(Mode mode) throws Exception {
    Path output = Digits.newFolder("failed").resolve("scored");
    for (int run = 0; run < 5; run++) {
      try (HybridSession session = model.session(spark, mode, key)) {
        InvalidInputException error =
            assertThrows(
                InvalidInputException.class,
                () ->
                    session.score(
                        Digits.hadoop(table), Digits.hadoop(output), false, ScoreProgress.SILENT));
        assertEquals(1, error.getMessage().lines().count(), error.getMessage());
        assertTrue(error.getMessage().contains("pixels"), error.getMessage());
      }
      try (Stream<Path> left = Files.list(output.getParent())) {
        assertEquals(List.of(), left.toList());
      }
    }
  }

  @Test
  void aFailedRunLeavesNoNativeObjectAndNoJob() throws Exception {
    long before = NativeLibrary.openHandles();
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      assertThrows(
          InvalidInputException.class,
          () ->
              session.score(
                  Digits.hadoop(table),
                  Digits.hadoop(Digits.newFolder("failed").resolve("scored")),
                  false,
                  ScoreProgress.SILENT));
      // Executors keep a circuit for a while; the client's own handles are all closed.
      long deadline = System.nanoTime() + 10_000_000_000L;
      while (spark.sparkContext().statusTracker().getActiveJobIds().length > 0) {
        assertTrue(System.nanoTime() < deadline, "a job of the failed run still runs");
        Thread.sleep(20);
      }
    }
    assertTrue(
        NativeLibrary.openHandles() <= before + 1,
        before + " handles before, " + NativeLibrary.openHandles() + " after");
  }

  @Test
  void anInterruptEndsARunAndItsSession() throws Exception {
    Path output = Digits.newFolder("interrupted").resolve("scored");
    AtomicReference<Throwable> seen = new AtomicReference<>();
    AtomicBoolean isInterrupted = new AtomicBoolean();
    HybridSession session = model.session(spark, Mode.EXECUTE, key);
    CountDownLatch hasSent = new CountDownLatch(1);
    CountDownLatch isInterruptSent = new CountDownLatch(1);
    ScoreProgress progress =
        new ScoreProgress() {
          @Override
          public void blocksSent(String modules, int blocks) {
            hasSent.countDown();
            try {
              // Else the run may come to the record that ends it.
              isInterruptSent.await();
            } catch (InterruptedException error) {
              throw new IllegalStateException(error);
            }
          }
        };
    Thread run =
        new Thread(
            () -> {
              try (session) {
                session.score(Digits.hadoop(table), Digits.hadoop(output), false, progress);
              } catch (Throwable error) {
                seen.set(error);
              }
              isInterrupted.set(Thread.interrupted());
            });
    run.start();
    assertTrue(hasSent.await(1, TimeUnit.MINUTES), "a first wave was sent");
    run.interrupt();
    isInterruptSent.countDown();
    run.join();
    assertEquals("the run was interrupted", seen.get().getMessage());
    assertInstanceOf(CancellationException.class, seen.get());
    assertTrue(isInterrupted.get());
    // What the session had open was closed all the same.
    assertEquals(0, seen.get().getSuppressed().length);
    assertThrows(IllegalStateException.class, () -> session.prepare(1));
  }

  @Test
  void aRunThatFailsWhileAnotherWaveIsInAClearSegmentDoesNotCrashTheJvm() throws Exception {
    // Large batches keep a clear segment busy for milliseconds.
    Path compiled = Digits.compile(spark, CompileOptions.remote(List.of("seq.4")).build());
    CommandRun run =
        new ChildJvm()
            .option("-XX:ErrorFile=" + Digits.newFolder("crash").resolve("hs_err.log"))
            .option("-XX:-CreateCoredumpOnCrash")
            .run(FailingRunsProgram.class, List.of(compiled.toString()));
    assertEquals("refused 25 of 25", run.out().strip().lines().findFirst().orElse(""), run.err());
    run.assertDone();
  }
}
