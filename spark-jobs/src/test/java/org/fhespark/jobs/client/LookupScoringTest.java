package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.NativeLibrary;
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
    folder = Digits.compile(spark, CompileOptions.remote(List.of(".")).build());
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

  /** The largest difference of a logit, relative to the largest logit of all. */
  private static double largestError(List<Row> expected, List<Row> actual) {
    double range = 0;
    for (Row row : expected) {
      for (float logit : Logits.of(row)) {
        range = Math.max(range, Math.abs(logit));
      }
    }
    double largest = 0;
    for (int i = 0; i < actual.size(); i++) {
      float[] wanted = Logits.of(expected.get(i));
      float[] found = Logits.of(actual.get(i));
      for (int j = 0; j < wanted.length; j++) {
        largest = Math.max(largest, Math.abs(wanted[j] - found[j]));
      }
    }
    return largest / range;
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

  @Test
  void executeLiesAsNearToDisableAsSimulateDoes() {
    List<Row> simulate = inClear(Mode.SIMULATE);
    List<Row> execute = encrypted(model, ENCRYPTED);
    for (int i = 0; i < ENCRYPTED; i++) {
      assertEquals(images.get(i).get(0), execute.get(i).get(0));
    }
    assertTrue(Logits.differing(disable.subList(0, ENCRYPTED), execute) > 0, "no noise at all");
    double noise = largestError(disable, simulate);
    double error = largestError(disable, execute);
    // The largest of 17,970 values against the largest of 40: a fault is far outside.
    assertTrue(error <= 1.5 * noise, error + " and " + noise);
  }

  @Test
  void aKeyThatIsTooLargeForABroadcastGoesAsAFile() {
    SparkConf conf = spark.sparkContext().conf();
    EvaluationKeyFiles files =
        EvaluationKeyFiles.open(model.specs().evaluationKeys(), key, keys, new org.apache.hadoop.fs.Path("client"));
    assertEquals(1, files.files().size());
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
