package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.Engine;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.LookupClient;
import org.fhespark.nativelib.LookupResultsSpec;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.OutputRows;
import org.fhespark.udf.CircuitRegistry;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The digits example with modules that have non-linearities inside remote. */
class LookupScoringTest {
  /** Of few images: each takes seconds. */
  private static final int ENCRYPTED = 4;

  private static SparkSession spark;
  private static Path folder;
  private static HybridModel model;
  private static ClientKey key;
  private static Path keys;
  private static List<Row> images;
  private static List<Row> torch;
  private static List<Row> disable;

  @BeforeAll
  static void compile() {
    spark = Digits.session();
    folder = Digits.compiledWhole(spark);
    model = Digits.load(folder);
    key = model.newKey();
    keys = Digits.newFolder("keys");
    model.evaluationKeys(key, keys, share -> {});
    images = Digits.images(spark);
    torch = inClear(Mode.TORCH);
    disable = inClear(Mode.DISABLE);
  }

  @AfterAll
  static void stop() {
    key.close();
    spark.stop();
  }

  private static List<Row> inClear(Mode mode) {
    try (HybridSession session = model.session(spark, mode)) {
      return session.forward(spark.createDataFrame(images, Digits.schema())).collectAsList();
    }
  }

  private static List<Row> encrypted(HybridModel model, int count) {
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key, keys)) {
      return session
          .forward(spark.createDataFrame(images.subList(0, count), Digits.schema()))
          .collectAsList();
    }
  }

  private static void assertRefused(String part, Path keys) {
    InvalidInputException error =
        assertThrows(
            InvalidInputException.class, () -> model.session(spark, Mode.EXECUTE, key, keys));
    assertEquals(1, error.getMessage().lines().count(), error.getMessage());
    assertTrue(error.getMessage().contains(part), error.getMessage());
    assertTrue(error.getMessage().contains("keygen --evaluation-keys-only"), error.getMessage());
  }

  @Test
  void quantisationAndNoiseCostLessThanAPointOfAccuracy() {
    List<Row> simulate = inClear(Mode.SIMULATE);
    double reference = Logits.accuracy(torch);
    assertTrue(Math.abs(Logits.accuracy(disable) - reference) <= 0.01);
    assertTrue(Math.abs(Logits.accuracy(simulate) - reference) <= 0.01);
    assertTrue(Logits.differing(torch, disable) > 0, "mode disable does not quantise");
    assertTrue(Logits.differing(disable, simulate) > 0, "mode simulate has no noise");
  }

  private static ScoreReport.LookedUp lookedUp(Mode mode, Path records, boolean areScaled) {
    List<Row> rows = new ArrayList<>();
    for (Row row : Digits.read(spark, records)) {
      float[] pixels = new float[row.<Float>getList(row.fieldIndex("pixels")).size()];
      for (int i = 0; i < pixels.length; i++) {
        pixels[i] = (areScaled ? 4 : 1) * row.<Float>getList(row.fieldIndex("pixels")).get(i);
      }
      rows.add(RowFactory.create((Object) pixels));
    }
    Path table = Digits.write(spark, "scaled", StructType.fromDDL("pixels ARRAY<FLOAT>"), rows);
    Path output = Digits.newFolder("outside");
    try (HybridSession session = model.session(spark, mode)) {
      ScoreReport report =
          session.score(Digits.hadoop(table), Digits.hadoop(output), false, ScoreProgress.SILENT);
      assertEquals(Set.of("."), report.lookedUp().keySet());
      assertEquals(32L * rows.size(), report.lookedUp().get(".").values());
      return report.lookedUp().get(".");
    }
  }

  @Test
  void valuesThatAreOutsideTheRangeOfCalibrationAreCounted() {
    Path calibration = Digits.file("calibration.parquet");
    for (Mode mode : List.of(Mode.DISABLE, Mode.SIMULATE)) {
      assertEquals(0, lookedUp(mode, calibration, false).outside(), mode.toString());
      assertTrue(lookedUp(mode, calibration, true).outside() > 0, mode.toString());
    }
  }

  @Test
  void rowsOfAnotherScaleThanTheTablesAreRefused() {
    RemoteCallSpec spec = model.specs().remote().get(0);
    float scale = spec.quantization().staticScale();
    try (ModuleClient client = ModuleClient.withoutKey(spec.moduleSpec());
        LookupClient lookups =
            LookupClient.withoutKey(
                new LookupResultsSpec(
                    CircuitDigest.parse(spec.circuitDigest()),
                    spec.lookups().parameters(),
                    spec.lookups().outputScales(),
                    spec.bias()))) {
      LookupCipher cipher = new LookupCipher(spec, client, lookups);
      ByteBuffer floats = ByteBuffer.allocateDirect(2 * spec.dOut() * Float.BYTES);
      OutputRows outputs = OutputRows.ofTable(floats, 2, spec.dOut());
      long[] phases = new long[2 * spec.dOut()];
      cipher.dequantize(phases, new float[] {scale, scale}, outputs);
      InvalidInputException error =
          assertThrows(
              InvalidInputException.class,
              () -> cipher.dequantize(phases, new float[] {scale, 2 * scale}, outputs));
      assertEquals(1, error.getMessage().lines().count(), error.getMessage());
      assertTrue(error.getMessage().startsWith("module .: row 2"), error.getMessage());
      assertThrows(
          InvalidInputException.class,
          () -> cipher.decrypt(floats, 0, new float[] {2 * scale}, 1, outputs));
    }
  }

  @Test
  void executeLiesAsNearToDisableAsSimulateDoes() {
    List<Row> simulate = inClear(Mode.SIMULATE);
    List<Row> execute = encrypted(model, ENCRYPTED);
    // The session is closed: its key, which is large, does not wait until it is idle.
    assertEquals(0, CircuitRegistry.shared().evaluationKeys());
    for (int i = 0; i < ENCRYPTED; i++) {
      assertEquals(images.get(i).get(0), execute.get(i).get(0));
    }
    assertTrue(Logits.differing(disable.subList(0, ENCRYPTED), execute) > 0, "no noise at all");
    double noise = Logits.largestError(disable, simulate);
    double error = Logits.largestError(disable, execute);
    // The largest of 17,970 values against the largest of 40: a fault is far outside.
    assertTrue(error <= 1.5 * noise, error + " and " + noise);
  }

  @Test
  void aPackedModuleAndOneWithLookupsRunInOneSchedule() {
    HybridModel mixed =
        Digits.load(
            Digits.compile(
                spark,
                "mlp.onnx",
                CompileOptions.remote(List.of("hidden", "head")).engine(Engine.PBS).build()));
    assertEquals(
        List.of(true, false),
        mixed.specs().remote().stream().map(RemoteCallSpec::hasLookups).toList());
    Path folder = Digits.newFolder("mixed");
    Dataset<Row> records = spark.createDataFrame(images.subList(0, ENCRYPTED), Digits.schema());
    try (ClientKey mixedKey = mixed.newKey();
        HybridSession clear = mixed.session(spark, Mode.DISABLE);
        HybridSession noisy = mixed.session(spark, Mode.SIMULATE)) {
      mixed.evaluationKeys(mixedKey, folder, share -> {});
      Dataset<Row> all = spark.createDataFrame(images, Digits.schema());
      List<Row> expected = clear.forward(all).collectAsList();
      double noise = Logits.largestError(expected, noisy.forward(all).collectAsList());
      try (HybridSession session = mixed.session(spark, Mode.EXECUTE, mixedKey, folder)) {
        // Masks are for the packed module alone.
        assertEquals(ENCRYPTED, session.prepare(ENCRYPTED).slots());
        List<Row> found = session.forward(records).collectAsList();
        double error = Logits.largestError(expected, found);
        assertTrue(error > 0 && error <= 1.5 * noise, error + " and " + noise);
      }
    }
  }

  @Test
  void aCancelledRunEndsSoonAndTheSessionGoesOn() throws Exception {
    List<Row> many = images.subList(0, 400);
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key, keys)) {
      Thread scoring =
          new Thread(() -> session.forward(spark.createDataFrame(many, Digits.schema())));
      AtomicReference<Throwable> end = new AtomicReference<>();
      scoring.setUncaughtExceptionHandler((thread, error) -> end.set(error));
      scoring.start();
      while (CircuitRegistry.shared().evaluationKeys() == 0
          || spark.sparkContext().statusTracker().getActiveJobIds().length == 0) {
        assertTrue(scoring.isAlive(), () -> "ended before: " + end.get());
        Thread.sleep(20);
      }
      scoring.interrupt();
      // The whole would take some minutes.
      scoring.join(60_000);
      assertFalse(scoring.isAlive(), "the run goes on");
      assertInstanceOf(CancellationException.class, end.get());
      assertEquals(0, spark.sparkContext().statusTracker().getActiveJobIds().length);
    }
  }

  @Test
  void evaluationKeysThatAreMissingDamagedOrForeignAreRefusedInOneLine() throws Exception {
    Path whole = keys.resolve("evaluation.key");
    assertRefused("there is no evaluation key", Digits.newFolder("none"));

    Path truncated = Digits.newFolder("truncated");
    byte[] bytes = Files.readAllBytes(whole);
    Files.write(truncated.resolve("evaluation.key"), Arrays.copyOf(bytes, bytes.length / 2));
    assertRefused("truncated", truncated);

    Path damaged = Digits.newFolder("damaged");
    bytes[bytes.length / 2] ^= 1;
    Files.write(damaged.resolve("evaluation.key"), bytes);
    assertRefused("checksum", damaged);

    Path wrong = Digits.newFolder("wrong");
    Files.copy(Digits.file("digits.onnx"), wrong.resolve("evaluation.key"));
    assertRefused("not an evaluation key", wrong);

    Path foreign = Digits.newFolder("foreign");
    try (ClientKey other = model.newKey()) {
      model.evaluationKeys(other, foreign, share -> {});
      assertRefused("belongs to client key " + other.id(), foreign);
    }
  }
}
