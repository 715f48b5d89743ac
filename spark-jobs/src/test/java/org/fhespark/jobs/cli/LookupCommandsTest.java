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
  private static Path model;
  private static Path images;

  @BeforeAll
  static void compile() {
    SparkSession spark = Digits.session();
    model = Digits.compiledWhole(spark);
    List<Row> first = Digits.images(spark).subList(0, 2);
    images = Digits.write(spark, "images", Digits.schema(), first);
    spark.stop();
  }

  private static CommandRun keygen(Path keys, String... more) {
    String client = model.resolve("client").toString();
    return more.length == 0
        ? CommandRun.of("keygen", "--client", client, "--out", keys.toString())
        : CommandRun.of("keygen", "--client", client, "--out", keys.toString(), more[0]);
  }

  private static CommandRun score(String mode, Path keys, Path output) {
    return score(mode, images, keys, output);
  }

  private static CommandRun score(String mode, Path images, Path keys, Path output) {
    return CommandRun.of(
        "score",
        "--client",
        model.resolve("client").toString(),
        "--server",
        model.resolve("server").toString(),
        "--keys",
        keys.toString(),
        "--input",
        images.toString(),
        "--output",
        output.toString(),
        "--mode",
        mode);
  }

  @Test
  void keygenMakesAnEvaluationKeyWithWhichScoreRuns() throws Exception {
    Path keys = Digits.newFolder("keys");
    CommandRun made = keygen(keys);
    made.assertDone();
    Path file = keys.resolve("evaluation.key");
    String size = "%.1f MB".formatted(Files.size(file) / 1e6);
    assertTrue(made.out().contains(size), made.out());
    assertEquals(2, Files.list(keys).count());

    Path scored = Digits.newFolder("scored");
    score("disable", keys, scored.resolve("disable")).assertDone();
    CommandRun execute = score("execute", keys, scored.resolve("execute"));
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

    evaluateApart(keys, scored);
    SparkSession again = Digits.session();
    List<Row> apart = Digits.read(again, scored.resolve("apart"));
    again.stop();
    // Look-ups read with an error, but results are what the server makes of a block.
    assertTrue(Logits.largestError(expected, apart) < 0.2);

    byte[] before = Files.readAllBytes(file);
    keygen(keys, "--evaluation-keys-only").assertRefused(file.toString(), "never overwritten");
    assertArrayEquals(before, Files.readAllBytes(file));
    Files.delete(file);
    score("execute", keys, scored.resolve("none"))
        .assertRefused(file.toString(), "keygen --evaluation-keys-only");
    byte[] clientKey = Files.readAllBytes(keys.resolve("client.key"));
    keygen(keys).assertRefused("client.key", "add --evaluation-keys-only");
    keygen(keys, "--evaluation-keys-only").assertDone();
    assertEquals(before.length, Files.size(file));
    assertArrayEquals(clientKey, Files.readAllBytes(keys.resolve("client.key")));
    assertRotates(keys);
  }

  private static void assertRotates(Path keys) throws Exception {
    byte[] before = Files.readAllBytes(keys.resolve("evaluation.key"));
    CommandRun rotated = keygen(keys, "--rotate");
    rotated.assertDone();
    String old = rotated.out().replaceAll("(?s).*retired key ([0-9a-f]{32}),.*", "$1");
    Path retired = keys.resolve("retired/" + old + ".evaluation.key");
    assertArrayEquals(before, Files.readAllBytes(retired));
    score("execute", keys, Digits.newFolder("scored").resolve("rotated")).assertDone();
  }

  @Test
  void valuesOutsideTheRangeOfCalibrationAreToldInALine() {
    SparkSession spark = Digits.session();
    List<Row> bright = List.of(RowFactory.create((Object) new float[64]), bright());
    Path table = Digits.write(spark, "bright", StructType.fromDDL("pixels ARRAY<FLOAT>"), bright);
    spark.stop();
    Path output = Digits.newFolder("bright");
    CommandRun run = score("disable", table, Path.of("none"), output.resolve("bright"));
    run.assertDone();
    assertTrue(
        run.out()
            .matches(
                "(?s).*\nmodule \\.: [1-9]\\d* of 64 looked-up values were outside the range that"
                    + " calibration saw; calibrate with records like these\n.*"),
        run.out());
    run = score("disable", images, Path.of("none"), output.resolve("images"));
    assertFalse(run.out().contains("outside the range"), run.out());
  }

  /** No image: all pixels as bright as can be. */
  private static Row bright() {
    float[] pixels = new float[64];
    Arrays.fill(pixels, 64);
    return RowFactory.create((Object) pixels);
  }

  /** The same in jobs apart; the evaluating one gets the evaluation key alone. */
  private static void evaluateApart(Path keys, Path folder) {
    String client = model.resolve("client").toString();
    String server = model.resolve("server").toString();
    String state = folder.resolve("state").toString();
    String blocks = folder.resolve("blocks").toString();
    String results = folder.resolve("results").toString();
    CommandRun.of(
            "encrypt",
            "--client",
            client,
            "--keys",
            keys.toString(),
            "--input",
            images.toString(),
            "--state",
            state,
            "--out",
            blocks)
        .assertDone();
    CommandRun.of("evaluate", "--server", server, "--input", blocks, "--out", results)
        .assertRefused("takes the client's evaluation key", "--evaluation-keys");
    CommandRun.of(
            "evaluate",
            "--server",
            server,
            "--input",
            blocks,
            "--out",
            results,
            "--evaluation-keys",
            keys.resolve("evaluation.key").toString())
        .assertDone();
    CommandRun.of(
            "decrypt",
            "--client",
            client,
            "--keys",
            keys.toString(),
            "--input",
            results,
            "--state",
            state,
            "--output",
            folder.resolve("apart").toString())
        .assertDone();
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
