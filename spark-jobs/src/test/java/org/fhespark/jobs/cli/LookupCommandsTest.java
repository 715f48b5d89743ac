package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.Logits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** keygen and score of a model that looks values up. */
class LookupCommandsTest {
  private static Path images;
  private static KeyedCommands commands;

  @BeforeAll
  static void compile() {
    SparkSession spark = Digits.session();
    List<Row> first = Digits.images(spark).subList(0, 2);
    images = Digits.write(spark, "images", Digits.schema(), first);
    commands = new KeyedCommands(Digits.compiledWhole(spark));
    spark.stop();
  }

  @Test
  void keygenMakesAnEvaluationKeyWithWhichScoreRuns() throws Exception {
    Path keys = Digits.newFolder("keys");
    CommandRun made = commands.keygen(keys);
    made.assertDone();
    Path file = keys.resolve("evaluation.key");
    String size = "%.1f MB".formatted(Files.size(file) / 1e6);
    assertTrue(made.out().contains(size), made.out());
    assertEquals(2, Files.list(keys).count());

    Path scored = Digits.newFolder("scored");
    commands.score("disable", images, keys, scored.resolve("disable")).assertDone();
    CommandRun execute = commands.score("execute", images, keys, scored.resolve("execute"));
    execute.assertDone();
    // No margin tells how right results are that are not exact.
    assertTrue(execute.out().contains("bytes a value down"), execute.out());
    assertFalse(execute.out().contains("margin"), execute.out());
    SparkSession spark = Digits.session();
    List<Row> expected = Digits.read(spark, scored.resolve("disable"));
    List<Row> found = Digits.read(spark, scored.resolve("execute"));
    spark.stop();
    double error = Logits.largestError(expected, found);
    assertTrue(error > 0 && error < 0.2, "error " + error);

    List<Row> apart = Digits.read(commands.scoreApart(images, keys, scored));
    // Look-ups read with an error, but results are what the server makes of a block.
    assertTrue(Logits.largestError(expected, apart) < 0.2);

    byte[] before = Files.readAllBytes(file);
    commands
        .keygen(keys, "--evaluation-keys-only")
        .assertRefused(file.toString(), "never overwritten");
    assertArrayEquals(before, Files.readAllBytes(file));
    Files.delete(file);
    commands
        .score("execute", images, keys, scored.resolve("none"))
        .assertRefused(file.toString(), "keygen --evaluation-keys-only");
    byte[] clientKey = Files.readAllBytes(keys.resolve("client.key"));
    commands.keygen(keys).assertRefused("client.key", "add --evaluation-keys-only");
    commands.keygen(keys, "--evaluation-keys-only").assertDone();
    assertEquals(before.length, Files.size(file));
    assertArrayEquals(clientKey, Files.readAllBytes(keys.resolve("client.key")));
    assertRotates(keys);
  }

  private static void assertRotates(Path keys) throws Exception {
    byte[] before = Files.readAllBytes(keys.resolve("evaluation.key"));
    CommandRun rotated = commands.keygen(keys, "--rotate");
    rotated.assertDone();
    String old = rotated.out().replaceAll("(?s).*retired key ([0-9a-f]{32}),.*", "$1");
    Path retired = keys.resolve("retired/" + old + ".evaluation.key");
    assertArrayEquals(before, Files.readAllBytes(retired));
    commands
        .score("execute", images, keys, Digits.newFolder("scored").resolve("rotated"))
        .assertDone();
  }

  @Test
  void valuesOutsideTheRangeOfCalibrationAreToldInALine() {
    SparkSession spark = Digits.session();
    List<Row> bright = List.of(RowFactory.create((Object) new float[64]), bright());
    Path table = Digits.write(spark, "bright", StructType.fromDDL("pixels ARRAY<FLOAT>"), bright);
    spark.stop();
    Path output = Digits.newFolder("bright");
    CommandRun run = commands.score("disable", table, Path.of("none"), output.resolve("bright"));
    run.assertDone();
    assertTrue(
        run.out()
            .matches(
                "(?s).*\nmodule \\.: [1-9]\\d* of 64 looked-up values were outside the range that"
                    + " calibration saw; calibrate with records like these\n.*"),
        run.out());
    run = commands.score("disable", images, Path.of("none"), output.resolve("images"));
    assertFalse(run.out().contains("outside the range"), run.out());
  }

  /** No image: all pixels as bright as can be. */
  private static Row bright() {
    float[] pixels = new float[64];
    Arrays.fill(pixels, 64);
    return RowFactory.create((Object) pixels);
  }

  @Test
  void aModelOfLinearModulesNeedsNoEvaluationKeys() {
    Artefacts linear = Artefacts.shared();
    CommandRun.of(
            "keygen",
            "--client",
            linear.client().toString(),
            "--out",
            linear.keys().toString(),
            "--evaluation-keys-only")
        .assertRefused("needs no evaluation keys");
  }
}
