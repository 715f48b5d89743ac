package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.Engine;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Feed-forward blocks of a small BERT as leveled circuits, on sentences of any length. */
class LeveledSequencesTest {
  private static SparkSession spark;
  private static HybridModel model;
  private static List<Row> sentences;

  @BeforeAll
  static void compile() {
    spark = Digits.session();
    CompileOptions options = CompileOptions.remote(SmallBert.BLOCKS).engine(Engine.SIMD).build();
    model = Digits.load(SmallBert.compile(spark, options));
    sentences = SmallBert.sentences();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static List<Row> scored(Mode mode) {
    try (HybridSession session = model.session(spark, mode)) {
      return session.forward(spark.createDataFrame(sentences, SmallBert.SCHEMA)).collectAsList();
    }
  }

  @Test
  void paddingIsSkipped() {
    assertEquals("attention_mask", model.specs().paddingMask());
    assertTrue(model.specs().remote().stream().allMatch(RemoteCallSpec::skipsPadding));
  }

  @Test
  void executeLiesAsNearToDisableAsSimulateDoesAndFillsBlocksFromTheFirst() {
    List<Row> disable = scored(Mode.DISABLE);
    assertTrue(SmallBert.largestError(scored(Mode.TORCH), disable) < 0.2, "polynomials");
    double noise = SmallBert.largestError(disable, scored(Mode.SIMULATE));
    assertTrue(noise > 0);
    Path keys = Digits.newFolder("keys");
    Path scored = Digits.newFolder("scored").resolve("execute");
    Path records = Digits.write(spark, "sentences", SmallBert.SCHEMA, sentences);
    try (ClientKey key = model.newKey()) {
      model.evaluationKeys(key, keys, share -> {});
      try (HybridSession session = model.session(spark, Mode.EXECUTE, key, keys)) {
        ScoreReport report =
            session.score(
                Digits.hadoop(records), Digits.hadoop(scored), false, ScoreProgress.SILENT);
        assertEquals(sentences.size(), report.records());
        // All tokens fit a block, and a block costs the same however full.
        long payload =
            model.specs().remote().stream()
                .mapToLong(call -> call.dIn() * call.leveled().parameters().bytesUp())
                .sum();
        assertTrue(report.bytesUp() < 2 * payload, report.bytesUp() + " of " + payload);
      }
    }
    double error = SmallBert.largestError(disable, Digits.read(spark, scored));
    assertTrue(error > 0 && error <= 1.5 * noise, error + " and " + noise);
  }
}
