package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.Engine;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.udf.CircuitRegistry;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The digits example with modules remote whose functions are polynomials. */
class LeveledScoringTest {
  private static final int PIXELS = 64;

  private static SparkSession spark;
  private static HybridModel model;
  private static ClientKey key;
  private static Path keys;
  private static List<Row> images;
  private static List<Row> torch;
  private static List<Row> disable;

  @BeforeAll
  static void compile() {
    spark = Digits.session();
    model = Digits.load(Digits.compiledLeveled(spark));
    key = model.newKey();
    keys = Digits.newFolder("keys");
    model.evaluationKeys(key, keys, share -> {});
    images = Digits.images(spark);
    torch = scored(model, Mode.TORCH, images);
    disable = scored(model, Mode.DISABLE, images);
  }

  @AfterAll
  static void stop() {
    key.close();
    spark.stop();
  }

  private static List<Row> scored(HybridModel model, Mode mode, List<Row> images) {
    try (HybridSession session =
        mode == Mode.EXECUTE ? model.session(spark, mode, key, keys) : model.session(spark, mode)) {
      return session.forward(spark.createDataFrame(images, Digits.schema())).collectAsList();
    }
  }

  /** An image with other pixels. */
  private static Row changed(Row image, IntToDoubleFunction pixels) {
    List<Float> values = new ArrayList<>();
    for (int i = 0; i < PIXELS; i++) {
      values.add((float) pixels.applyAsDouble(i));
    }
    return RowFactory.create(image.get(0), values, image.get(2), image.get(3));
  }

  private static double pixel(Row image, int index) {
    return image.<Float>getList(1).get(index);
  }

  @Test
  void polynomialsAndNoiseCostLessThanAPointOfAccuracy() {
    double reference = Logits.accuracy(torch);
    assertTrue(Math.abs(Logits.accuracy(disable) - reference) <= 0.01);
    List<Row> simulate = scored(model, Mode.SIMULATE, images);
    assertTrue(Math.abs(Logits.accuracy(simulate) - reference) <= 0.01);
    assertTrue(Logits.differing(torch, disable) > 0, "mode disable has no polynomials");
    assertTrue(Logits.differing(disable, simulate) > 0, "mode simulate has no noise");
  }

  @Test
  void executeLiesAsNearToDisableAsSimulateDoes() {
    double noise = Logits.largestError(disable, scored(model, Mode.SIMULATE, images));
    List<Row> execute = scored(model, Mode.EXECUTE, images);
    for (int i = 0; i < images.size(); i++) {
      assertEquals(images.get(i).get(0), execute.get(i).get(0));
    }
    double error = Logits.largestError(disable, execute);
    assertTrue(error > 0 && error <= 1.5 * noise, error + " and " + noise);
    // The session is closed: nothing waits until it is idle.
    assertEquals(0, CircuitRegistry.shared().evaluationKeys());
    assertEquals(0, CircuitRegistry.shared().size());
  }

  @Test
  void recordsBeyondTheRangeLeaveTheOthersOfTheirBlockAlone() {
    List<Row> mixed = new ArrayList<>();
    for (int i = 0; i < 600; i++) {
      Row image = images.get(i);
      int number = i;
      mixed.add(
          switch (i % 6) {
            case 1 -> changed(image, p -> 2 * pixel(image, p));
            case 2 -> changed(image, p -> 1000 * pixel(image, p));
            case 3 -> changed(image, p -> p == number % PIXELS ? 1e30 : pixel(image, p));
            case 4 -> changed(image, p -> -Float.MAX_VALUE);
            default -> image;
          });
    }
    double noise = Logits.largestError(disable, scored(model, Mode.SIMULATE, images));
    List<Row> expected = new ArrayList<>();
    List<Row> found = new ArrayList<>();
    List<Row> execute = scored(model, Mode.EXECUTE, mixed);
    for (int i = 0; i < mixed.size(); i++) {
      if (i % 6 == 0 || i % 6 == 5) {
        expected.add(disable.get(i));
        found.add(execute.get(i));
      }
    }
    double error = Logits.largestError(expected, found);
    assertTrue(error <= 1.5 * noise, error + " and " + noise);
    // The others come out as clamped records do in clear.
    double clamped = Logits.largestError(scored(model, Mode.DISABLE, mixed), execute);
    assertTrue(clamped <= 1.5 * noise, clamped + " and " + noise);
  }

  @Test
  void aRecordThatIsNotFiniteIsNamed() {
    for (double value : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
      List<Row> some = new ArrayList<>(images.subList(0, 5));
      Row image = images.get(3);
      some.set(3, changed(image, p -> p == 7 ? value : pixel(image, p)));
      for (Mode mode : List.of(Mode.DISABLE, Mode.EXECUTE)) {
        InvalidInputException error =
            assertThrows(InvalidInputException.class, () -> scored(model, mode, some));
        assertTrue(error.getMessage().contains("record 4"), error.getMessage());
        assertEquals(1, error.getMessage().lines().count());
      }
    }
  }

  @Test
  void aRecordBeyondTheRangeEndsTheRunIfThatIsAskedFor() {
    assertEquals(OutOfRange.CLAMP, OutOfRange.of(new SparkConf(false)));
    SparkConf failing = new SparkConf(false).set(OutOfRange.SETTING, "fail");
    assertEquals(OutOfRange.FAIL, OutOfRange.of(failing));
    InvalidInputException other =
        assertThrows(
            InvalidInputException.class,
            () -> OutOfRange.of(new SparkConf(false).set(OutOfRange.SETTING, "drop")));
    assertTrue(other.getMessage().contains("clamp or fail"), other.getMessage());

    List<Row> some = new ArrayList<>(images.subList(0, 5));
    Row image = images.get(2);
    some.set(2, changed(image, p -> 50 * pixel(image, p)));
    spark.conf().set(OutOfRange.SETTING, "fail");
    try {
      for (Mode mode : List.of(Mode.DISABLE, Mode.EXECUTE)) {
        InvalidInputException error =
            assertThrows(InvalidInputException.class, () -> scored(model, mode, some));
        assertTrue(error.getMessage().contains("record 3: it lies"), error.getMessage());
      }
    } finally {
      spark.conf().unset(OutOfRange.SETTING);
    }
  }

  @Test
  void twoHiddenLayersWork() {
    HybridModel deep = Digits.load(Digits.compileWhole(spark, "digits.onnx", Engine.SIMD));
    List<Row> expected = scored(deep, Mode.TORCH, images);
    List<Row> clear = scored(deep, Mode.DISABLE, images);
    assertTrue(Math.abs(Logits.accuracy(clear) - Logits.accuracy(expected)) <= 0.01);
    double noise = Logits.largestError(clear, scored(deep, Mode.SIMULATE, images));
    Path folder = Digits.newFolder("deep-keys");
    try (ClientKey deepKey = deep.newKey()) {
      deep.evaluationKeys(deepKey, folder, share -> {});
      try (HybridSession session = deep.session(spark, Mode.EXECUTE, deepKey, folder)) {
        List<Row> found =
            session.forward(spark.createDataFrame(images, Digits.schema())).collectAsList();
        double error = Logits.largestError(clear, found);
        assertTrue(error > 0 && error <= 1.5 * noise, error + " and " + noise);
      }
    }
  }

  @Test
  void evaluationKeysThatAreMissingDamagedOrForeignAreRefusedInOneLine() throws Exception {
    assertRefused("there is no evaluation key", Digits.newFolder("none"));
    Path damaged = Digits.newFolder("damaged");
    byte[] bytes = Files.readAllBytes(keys.resolve("evaluation.key"));
    Files.write(damaged.resolve("evaluation.key"), Arrays.copyOf(bytes, bytes.length / 2));
    assertRefused("truncated", damaged);
    bytes[bytes.length / 2] ^= 1;
    Files.write(damaged.resolve("evaluation.key"), bytes);
    assertRefused("checksum", damaged);
    Path foreign = Digits.newFolder("foreign");
    try (ClientKey other = model.newKey()) {
      model.evaluationKeys(other, foreign, share -> {});
      assertRefused("belongs to client key " + other.id(), foreign);
    }
    Path lookUps = Digits.newFolder("look-ups");
    HybridModel whole = Digits.load(Digits.compiledWhole(spark));
    try (ClientKey other = whole.newKey()) {
      whole.evaluationKeys(other, lookUps, share -> {});
      assertRefused("belongs to client key " + other.id(), lookUps);
    }
  }

  private static void assertRefused(String part, Path keys) {
    InvalidInputException error =
        assertThrows(
            InvalidInputException.class, () -> model.session(spark, Mode.EXECUTE, key, keys));
    assertEquals(1, error.getMessage().lines().count(), error.getMessage());
    assertTrue(error.getMessage().contains(part), error.getMessage());
  }
}
