package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** One block of a layer that is large enough for both cores to share it. */
class PartedScoringTest {
  private static final LinearModel LAYER = new LinearModel(384, 1024);

  /** Not whole panels. */
  private static final int RECORDS = 4000;

  private static SparkSession spark;
  private static ClientKey key;
  private static HybridModel whole;
  private static HybridModel protectedWeights;
  private static Path records;

  @BeforeAll
  static void start() {
    spark = Digits.session(SparkSettings.addTo(new SparkConf().setMaster("local[2]")));
    whole = Digits.load(LAYER.compile(spark, options(false)));
    protectedWeights = Digits.load(LAYER.compile(spark, options(true)));
    key = whole.newKey();
    records = Digits.write(spark, "records", LinearModel.schema(), LAYER.records(RECORDS, 3));
  }

  private static CompileOptions options(boolean protectsWeights) {
    return CompileOptions.remote(List.of(LinearModel.MODULE))
        .expectedBatch(RECORDS)
        .protectWeights(protectsWeights)
        .build();
  }

  @AfterAll
  static void stop() {
    key.close();
    spark.stop();
  }

  /** What was sent at a time, and fails on request when the first is back. */
  private static final class Sent implements ScoreProgress {
    private final List<Integer> blocks = Collections.synchronizedList(new ArrayList<>());
    private final boolean fails;

    Sent(boolean fails) {
      this.fails = fails;
    }

    @Override
    public void blocksSent(String modules, int count) {
      blocks.add(count);
    }

    @Override
    public void blockDone() {
      if (fails) {
        throw new IllegalStateException("failed by the test");
      }
    }
  }

  private static List<Row> score(HybridModel model, Mode mode, ClientKey key, Sent sent) {
    Path output = Digits.newFolder("scored").resolve("scored");
    try (HybridSession session =
        mode == Mode.EXECUTE ? model.session(spark, mode, key) : model.session(spark, mode)) {
      session.score(Digits.hadoop(records), Digits.hadoop(output), false, sent);
    }
    return Digits.read(spark, output);
  }

  @Test
  void partsGiveTheValuesOfTheModel() {
    List<Row> expected = score(whole, Mode.DISABLE, null, new Sent(false));
    Sent sent = new Sent(false);
    assertEquals(expected, score(whole, Mode.EXECUTE, key, sent));
    // The mask, what goes beside it, and the rest.
    assertEquals(List.of(3), sent.blocks);
  }

  @Test
  void blocksWhoseResultsAreRerandomisedStayWhole() {
    try (ClientKey own = protectedWeights.newKey()) {
      Sent sent = new Sent(false);
      assertEquals(RECORDS, score(protectedWeights, Mode.EXECUTE, own, sent).size());
      assertTrue(sent.blocks.stream().allMatch(count -> count == 1), sent.blocks.toString());
    }
  }

  @Test
  void aRunThatFailsBetweenPartsReleasesThoseItHas() throws Exception {
    assertThrows(
        IllegalStateException.class, () -> score(whole, Mode.EXECUTE, key, new Sent(true)));
    NativeMemoryProgram.await(() -> NativeMemoryProgram.inUse() == 0);
    assertEquals(0, NativeMemoryProgram.inUse());
  }
}
