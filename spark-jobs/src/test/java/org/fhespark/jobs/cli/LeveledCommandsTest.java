package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.Logits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** keygen, score and its steps apart, of a model whose functions are polynomials. */
class LeveledCommandsTest {
  private static Path images;
  private static KeyedCommands commands;

  @BeforeAll
  static void compile() {
    SparkSession spark = Digits.session();
    images = Digits.write(spark, "images", Digits.schema(), Digits.images(spark));
    commands = new KeyedCommands(Digits.compiledLeveled(spark));
    spark.stop();
  }

  @Test
  void stepsApartLieAsNearToDisableAsScoreDoes() throws Exception {
    Path keys = Digits.newFolder("keys");
    CommandRun made = commands.keygen(keys);
    made.assertDone();
    String size = "%.1f MB".formatted(Files.size(keys.resolve("evaluation.key")) / 1e6);
    assertTrue(made.out().contains(size), made.out());

    Path scored = Digits.newFolder("scored");
    List<Row> disable = scored("disable", keys, scored);
    double noise = Logits.largestError(disable, scored("simulate", keys, scored));
    assertNear(disable, scored("execute", keys, scored), noise);
    List<Row> apart = Digits.read(commands.scoreApart(images, keys, scored));
    assertEquals(Digits.IMAGES, apart.size());
    assertNear(disable, apart, noise);
  }

  @Test
  void encryptTellsOfRecordsThatItDrewIntoRange() {
    SparkSession spark = Digits.session();
    List<Row> some = new ArrayList<>(Digits.images(spark).subList(0, 5));
    Row image = some.get(2);
    List<Float> bright = image.<Float>getList(1).stream().map(pixel -> 50 * pixel).toList();
    some.set(2, RowFactory.create(image.get(0), bright, image.get(2), image.get(3)));
    Path records = Digits.write(spark, "bright", Digits.schema(), some);
    spark.stop();
    Path keys = Digits.newFolder("keys");
    commands.keygen(keys).assertDone();
    CommandRun run = commands.encrypt(records, keys, Digits.newFolder("apart"));
    run.assertDone();
    assertTrue(run.out().contains("1 rows lay beyond the range"), run.out());
  }

  private static List<Row> scored(String mode, Path keys, Path folder) {
    Path output = folder.resolve(mode);
    commands.score(mode, images, keys, output).assertDone();
    return Digits.read(output);
  }

  private static void assertNear(List<Row> expected, List<Row> found, double noise) {
    double error = Logits.largestError(expected, found);
    assertTrue(error > 0 && error <= 1.5 * noise, error + " and " + noise);
  }
}
