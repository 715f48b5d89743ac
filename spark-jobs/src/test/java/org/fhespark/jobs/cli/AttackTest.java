package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.LinearModel;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class AttackTest {
  private static final Pattern NEEDED = Pattern.compile("of (\\d+) that are needed at (\\d+)");
  private static final Pattern MASKS =
      Pattern.compile("masks of one record's block: recovered (\\d+) of (\\d+)");
  private static final Pattern BODIES = Pattern.compile("bodies.* recovered (\\d+) of (\\d+)");

  private static Path plain;
  private static Path defended;

  private static final LinearModel SQUARE = new LinearModel(384, 384);

  private static Path square;
  private static Path squareUnrounded;
  private static Path squareDefended;

  @BeforeAll
  static void compile() {
    SparkSession spark = Digits.session();
    List<String> module = List.of(LinearModel.MODULE);
    square = SQUARE.compile(spark, CompileOptions.remote(module).build());
    squareUnrounded =
        SQUARE.compile(spark, CompileOptions.remote(module).activationBits(7).limbs(4).build());
    squareDefended =
        SQUARE.compile(
            spark, CompileOptions.remote(module).activationBits(7).protectWeights(true).build());
    plain = Digits.compiled(spark);
    defended =
        Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).protectWeights(true).build());
    spark.stop();
  }

  private static CommandRun attack(Path model, String module, String... more) {
    List<String> arguments = new ArrayList<>(List.of("attack", "--remote", module));
    arguments.addAll(List.of("--client", model.resolve("client").toString()));
    arguments.addAll(List.of("--server", model.resolve("server").toString()));
    arguments.addAll(List.of(more));
    return CommandRun.of(arguments);
  }

  private static int[] groups(Pattern pattern, CommandRun run) {
    Matcher matcher = pattern.matcher(run.out());
    assertTrue(matcher.find(), run.out());
    return new int[] {Integer.parseInt(matcher.group(1)), Integer.parseInt(matcher.group(2))};
  }

  @Test
  void aBlockGivesAllWeightsOfAModule() throws Exception {
    CommandRun run = attack(plain, "seq.0");
    run.assertDone();
    int[] recovered = groups(BODIES, run);
    assertEquals(recovered[1], recovered[0], run.out());
    // The report quotes the same number.
    String report = Files.readString(plain.resolve("report.json"));
    assertTrue(report.contains(groups(NEEDED, run)[0] + " such records all 64"), report);
  }

  @Test
  void withProtectionItFailsBelowTheRecordsThatItNeeds() throws Exception {
    CommandRun all = attack(defended, "seq.0");
    all.assertDone();
    assertTrue(all.out().contains("masks of one record's block: recovered none"), all.out());
    int[] recovered = groups(BODIES, all);
    assertEquals(recovered[1], recovered[0], all.out());
    int needed = groups(NEEDED, all)[0];
    int perRecord = groups(NEEDED, all)[1];
    assertTrue(needed >= 64 / perRecord, all.out());
    CommandRun fewer = attack(defended, "seq.0", "--records", Integer.toString(needed - 1));
    fewer.assertDone();
    int[] less = groups(BODIES, fewer);
    assertTrue(less[0] < less[1], fewer.out());
    String report = Files.readString(defended.resolve("report.json"));
    assertTrue(report.contains("results are re-randomised (--protect-weights)"), report);
    assertTrue(report.contains(needed + " such records all 64"), report);
  }

  private static void assertAll(Pattern pattern, CommandRun run) {
    run.assertDone();
    int all = SQUARE.inputs() * SQUARE.outputs();
    assertArrayEquals(new int[] {all, all}, groups(pattern, run), run.out());
  }

  @Test
  void oneRecordGivesEveryWeightOfA384x384Module() {
    assertAll(MASKS, attack(squareUnrounded, LinearModel.MODULE, "--records", "1"));
  }

  @Test
  void oneBlockGivesEveryWeightOfA384x384ModuleWhoseMasksAreRounded() {
    CommandRun run = attack(square, LinearModel.MODULE);
    assertAll(BODIES, run);
    assertTrue(run.out().contains("results' masks are rounded"), run.out());
  }

  @Test
  void protectedA384x384ModuleTakesHalfAsManyRecordsAsInputs() {
    int needed = SQUARE.inputs() / 2;
    CommandRun all = attack(squareDefended, LinearModel.MODULE);
    assertAll(BODIES, all);
    assertTrue(all.out().contains("masks of one record's block: recovered none"), all.out());
    assertArrayEquals(new int[] {needed, 2}, groups(NEEDED, all), all.out());
    CommandRun fewer =
        attack(squareDefended, LinearModel.MODULE, "--records", Integer.toString(needed - 1));
    fewer.assertDone();
    assertEquals((SQUARE.inputs() - 2) * SQUARE.outputs(), groups(BODIES, fewer)[0]);
  }

  @Test
  void whatCannotBeAttackedIsNamed() {
    attack(plain, "seq.9").assertRefused("--remote seq.9", "seq.0");
    attack(plain, "seq.0", "--records", "0").assertRefused("--records 0");
  }

  @Test
  void keygenMakesAPublicKeyForAModelThatNeedsIt() {
    Path keys = Digits.newFolder("keys");
    CommandRun.of(
            "keygen", "--client", defended.resolve("client").toString(), "--out", keys.toString())
        .assertDone();
    assertTrue(Files.exists(keys.resolve("public.key")));
    Path without = Digits.newFolder("keys");
    CommandRun.of(
            "keygen", "--client", plain.resolve("client").toString(), "--out", without.toString())
        .assertDone();
    assertFalse(Files.exists(without.resolve("public.key")));
  }
}
