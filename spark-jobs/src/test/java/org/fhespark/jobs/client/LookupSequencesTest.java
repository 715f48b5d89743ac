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

/** Feed-forward blocks of a small BERT with look-ups, on sentences of any length. */
class LookupSequencesTest {
  /** Every token takes some hundred look-ups. */
  private static final int LOOKED_UP = 2;

  private static SparkSession spark;
  private static HybridModel model;
  private static List<Row> sentences;

  @BeforeAll
  static void compile() {
    spark = Digits.session();
    CompileOptions options = CompileOptions.remote(SmallBert.BLOCKS).engine(Engine.PBS).build();
    model = Digits.load(SmallBert.compile(spark, options));
    sentences = SmallBert.sentences();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static List<Row> scored(Mode mode, List<Row> some) {
    Path keys = Digits.newFolder("keys");
    try (ClientKey key = model.newKey()) {
      if (mode.isEncrypted()) {
        model.evaluationKeys(key, keys, share -> {});
      }
      try (HybridSession session = model.session(spark, mode, key, keys)) {
        return session.forward(spark.createDataFrame(some, SmallBert.SCHEMA)).collectAsList();
      }
    }
  }

  @Test
  void paddingIsSkippedAndResultsAreThoseOfTheModel() {
    assertEquals("attention_mask", model.specs().paddingMask());
    assertTrue(model.specs().remote().stream().allMatch(RemoteCallSpec::skipsPadding));
    List<Row> disable = scored(Mode.DISABLE, sentences);
    double tables = SmallBert.largestError(scored(Mode.TORCH, sentences), disable);
    assertTrue(tables > 0 && tables < 0.5, "tables: " + tables);
    double noise = SmallBert.largestError(disable, scored(Mode.SIMULATE, sentences));
    double error =
        SmallBert.largestError(
            disable.subList(0, LOOKED_UP), scored(Mode.EXECUTE, sentences.subList(0, LOOKED_UP)));
    assertTrue(error > 0 && error <= 1.5 * noise, error + " and " + noise);
  }
}
