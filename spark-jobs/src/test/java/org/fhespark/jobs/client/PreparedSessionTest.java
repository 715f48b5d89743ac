package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.NativeLibrary;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sessions whose masks are prepared ahead, on the digits example. */
class PreparedSessionTest {
  private static final int MODULES = 3;

  private static SparkSession spark;
  private static HybridModel model;
  private static ClientKey key;
  private static List<Row> images;
  private static List<Row> expected;

  @BeforeAll
  static void start() {
    spark = Digits.session();
    model = Digits.load(Digits.compiled(spark));
    key = model.newKey();
    images = Digits.images(spark);
    try (HybridSession session = model.session(spark, Mode.DISABLE)) {
      expected = forward(session, 0, images.size());
    }
  }

  @AfterAll
  static void stop() {
    key.close();
    spark.stop();
  }

  private static List<Row> forward(HybridSession session, int first, int end) {
    return session
        .forward(spark.createDataFrame(images.subList(first, end), Digits.schema()))
        .collectAsList();
  }

  /**
   * Scores images as a tensor, beginning anew after the last; requires what mode disable gives and
   * returns what it cost.
   */
  private static ScoreReport score(HybridSession session, int first, int end) {
    ModelTensor pixels = ModelTensor.allocate(ElementType.FLOAT, end - first, 64);
    for (int image = first; image < end; image++) {
      List<Float> values = images.get(image % Digits.IMAGES).getList(1);
      for (int i = 0; i < 64; i++) {
        pixels.data().asFloatBuffer().put((image - first) * 64 + i, values.get(i));
      }
    }
    TensorResults results = session.forward(List.of(Map.of("pixels", pixels)));
    float[] logits = new float[(end - first) * Digits.CLASSES];
    results.outputs().get(0).get("logits").data().asFloatBuffer().get(logits);
    for (int image = first; image < end; image++) {
      float[] wanted = Logits.of(expected.get(image % Digits.IMAGES));
      for (int i = 0; i < Digits.CLASSES; i++) {
        assertEquals(wanted[i], logits[(image - first) * Digits.CLASSES + i], "image " + image);
      }
    }
    return results.report();
  }

  private static long slotBytes() {
    long bytes = 0;
    for (RemoteCallSpec call : model.specs().remote()) {
      bytes += (long) call.dIn() * call.parameters().bodyLimbs();
      bytes += (long) call.dOut() * call.parameters().outputLimbs();
    }
    return bytes;
  }

  @Test
  void smallBatchesTakeSlotsUntilTheyRunOutAndGoOnWithoutThem() {
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      Preparation done = session.prepare(100);
      assertEquals(MODULES, done.masks());
      assertEquals(100 * MODULES, done.slots());
      assertTrue(done.heldBytes() >= 100 * slotBytes(), done.toString());
      assertTrue(done.heldBytes() <= 101 * slotBytes(), done.toString());
      long ordinaryDown = 0;
      // 100 slots: 1 + 60 + 30, then too few for 10, enough for 9, and none.
      int[] sizes = {1, 60, 30, 10, 9, 1};
      boolean[] isPrepared = {true, true, true, false, true, false};
      for (int i = 0, first = 0; i < sizes.length; first += sizes[i++]) {
        ScoreReport report = score(session, first, first + sizes[i]);
        assertEquals(isPrepared[i] ? sizes[i] * MODULES : 0, report.preparedRows(), "run " + i);
        ordinaryDown = isPrepared[i] ? ordinaryDown : report.bytesDown();
      }
      assertTrue(ordinaryDown > 0);
      // Another mask, for a table as for tensors.
      assertEquals(100 * MODULES, session.prepare(100).slots());
      assertEquals(expected.subList(20, 50), forward(session, 20, 50));
      ScoreReport report = score(session, 50, 120);
      assertEquals(70 * MODULES, report.preparedRows());
      assertTrue(report.bytesDown() < ordinaryDown / 10, report + ", ordinary " + ordinaryDown);
    }
  }

  @Test
  void largeBlocksLeaveTheSlotsToSmallOnes() {
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      int block = model.specs().remote().get(0).parameters().maxRecords();
      session.prepare(block);
      assertEquals(0, score(session, 0, block).preparedRows());
      assertEquals(5 * MODULES, score(session, 0, 5).preparedRows());
    }
  }

  @Test
  void whatNoRowHasUsedYetIsNotMadeAgain() {
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.prepare(20);
      assertEquals(0, session.prepare(15).masks());
      // 20 slots and 5 more could not take a block of 25.
      assertEquals(25 * MODULES, session.prepare(25).slots());
      score(session, 0, 1);
      // The begun masks, of 20, no longer count but serve on.
      assertEquals(0, session.prepare(25).masks());
      for (int size : new int[] {19, 25}) {
        assertEquals(size * MODULES, score(session, 0, size).preparedRows());
      }
      assertEquals(0, score(session, 0, 1).preparedRows());
    }
  }

  @Test
  void moreThanAMaskHoldsTakesSeveral() {
    int most = model.specs().remote().get(0).parameters().maxRecords();
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      Preparation done = session.prepare(most + 10L);
      assertEquals((most + 10L) * MODULES, done.slots());
      assertTrue(done.masks() >= 2 * MODULES - 2, done.toString());
      int each = 700;
      for (int run = 0; run * each < most; run++) {
        int first = run % 2 * each;
        boolean fits = (run + 1) * each <= most;
        long rows = score(session, first, first + each).preparedRows();
        assertTrue(fits ? rows == each * MODULES : rows < each * MODULES, rows + " in run " + run);
      }
    }
  }

  @Test
  void whatMasksMayHoldIsBounded() {
    long allowed = 1000 * slotBytes();
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      for (long rows : new long[] {1001, Long.MAX_VALUE}) {
        String message =
            assertThrows(InvalidInputException.class, () -> session.prepare(rows, allowed))
                .getMessage();
        assertTrue(
            message.startsWith("prepare: masks for " + rows + " rows of each remote module"),
            message);
        assertTrue(
            message.contains("; " + allowed + " are allowed: prepare at most 1000"), message);
        assertEquals(1, message.lines().count());
      }
      assertEquals(MODULES, session.prepare(900, allowed).masks());
      assertEquals(0, session.prepare(900, allowed).masks());
      String beside =
          assertThrows(InvalidInputException.class, () -> session.prepare(950, allowed))
              .getMessage();
      assertTrue(beside.contains("beside " + 900 * slotBytes()), beside);
      assertTrue(beside.contains("prepare at most 100 rows"), beside);
      score(session, 0, 1);
      // What is left of the begun masks makes room.
      Preparation again = session.prepare(900, allowed);
      assertEquals(900 * MODULES, again.slots());
      assertTrue(again.heldBytes() <= allowed, again.toString());
      String zero =
          assertThrows(InvalidInputException.class, () -> session.prepare(0)).getMessage();
      assertEquals("prepare: masks for 0 rows; give at least 1", zero);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Mode.class,
      names = {"TORCH", "DISABLE"})
  void otherModesHaveNothingToPrepare(Mode mode) {
    try (HybridSession session = model.session(spark, mode)) {
      Preparation done = session.prepare(1000);
      assertEquals(List.of(0, 0L, 0L), List.of(done.masks(), done.slots(), done.heldBytes()));
      forward(session, 0, 3);
    }
  }

  @Test
  void aFailedRunLosesItsSlotsAndNoOthers() {
    float[] nan = new float[64];
    nan[5] = Float.NaN;
    Dataset<Row> bad =
        spark.createDataFrame(List.of(RowFactory.create(-1L, nan, 0L, "test")), Digits.schema());
    long before = NativeLibrary.openHandles();
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.prepare(20);
      score(session, 0, 5);
      assertThrows(InvalidInputException.class, () -> session.forward(bad));
      // What the failed run had opened is opened anew; the masks are still there.
      assertEquals(15 * MODULES, score(session, 5, 20).preparedRows());
      assertEquals(0, score(session, 20, 21).preparedRows());
    }
    // Executors keep circuits for a while; keys, modules, orders and masks are closed.
    assertTrue(NativeLibrary.openHandles() <= before + MODULES);
  }

  @Test
  void anInterruptEndsThePreparationAndTheSessionGoesOn() {
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.prepare(1);
      Thread.currentThread().interrupt();
      assertThrows(CancellationException.class, () -> session.prepare(10));
      assertTrue(Thread.interrupted());
      session.prepare(10);
      assertEquals(10 * MODULES, score(session, 0, 10).preparedRows());
    }
  }

  @Test
  void runsOneAfterTheOtherUseAllSlots() {
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.prepare(600);
      List<Row> scored = new ArrayList<>();
      for (int first = 0; first < 600; first += 150) {
        scored.addAll(forward(session, first, first + 150));
      }
      assertEquals(expected.subList(0, 600), scored);
      assertEquals(0, score(session, 0, 1).preparedRows());
    }
  }
}
