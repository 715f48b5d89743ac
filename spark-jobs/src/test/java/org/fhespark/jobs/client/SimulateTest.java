package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Parameters too weak to be exact: simulation against encryption. */
class SimulateTest {
  /** Its outputs are the model's, so that a wrong integer shows. */
  private static final List<String> LAST = List.of("seq.4");

  private static final int RUNS = 6;

  private static SparkSession spark;
  private static Dataset<Row> images;

  @BeforeAll
  static void start() {
    spark = Digits.session();
    images = spark.createDataFrame(Digits.images(spark), Digits.schema());
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static HybridModel compile(CompileOptions.Builder options) {
    return Digits.load(Digits.compile(spark, options.build()));
  }

  private static List<Row> score(HybridModel model, Mode mode) {
    try (HybridSession session = model.session(spark, mode)) {
      return session.forward(images).collectAsList();
    }
  }

  /** Share of wrong logits; a new key each time, since secrets decide on the rounding's noise. */
  private static double executedErrors(HybridModel model, List<Row> expected) {
    double wrong = 0;
    for (int run = 0; run < RUNS; run++) {
      try (ClientKey key = model.newKey();
          HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
        wrong += Logits.differing(expected, session.forward(images).collectAsList());
      }
    }
    return wrong / (RUNS * Digits.IMAGES * Digits.CLASSES);
  }

  private static double simulatedErrors(HybridModel model, List<Row> expected) {
    double wrong = 0;
    for (int run = 0; run < RUNS; run++) {
      wrong += Logits.differing(expected, score(model, Mode.SIMULATE));
    }
    return wrong / (RUNS * Digits.IMAGES * Digits.CLASSES);
  }

  /** Of the error of a logit. */
  private static double meanSquare(List<Row> expected, List<Row> found) {
    double sum = 0;
    for (int i = 0; i < expected.size(); i++) {
      float[] a = Logits.of(expected.get(i));
      float[] b = Logits.of(found.get(i));
      for (int j = 0; j < a.length; j++) {
        sum += Math.pow(a[j] - b[j], 2);
      }
    }
    return sum / (expected.size() * Digits.CLASSES);
  }

  @Test
  void aLooseErrorProbabilityGivesAsManyWrongValuesAsUnderEncryption() {
    HybridModel model = compile(CompileOptions.remote(LAST).activationBits(11).log2PError(-2));
    List<Row> disable = score(model, Mode.DISABLE);
    double executed = executedErrors(model, disable);
    double simulated = simulatedErrors(model, disable);
    String found = simulated + " simulated, " + executed + " executed";
    // 60 outputs with masks of their own, about a hundred thousand values.
    assertTrue(executed > 0.002, found);
    assertTrue(simulated > 0.7 * executed && simulated < 1.4 * executed, found);
    double bound = Math.pow(2, model.specs().remote().get(0).log2FailureProbability());
    assertTrue(simulated < bound && executed < bound, found + ", bound " + bound);
  }

  @Test
  void fewerLimbsThanExactnessNeedsCompileSimulateAndExecute() {
    HybridModel model = compile(CompileOptions.remote(LAST).activationBits(8).limbs(3));
    RemoteCallSpec call = model.specs().remote().get(0);
    assertEquals(3, call.parameters().limbs());
    assertTrue(call.log2FailureProbability() > -40 && call.noiseMarginBits() < 0);
    List<Row> disable = score(model, Mode.DISABLE);
    double executed = executedErrors(model, disable);
    double simulated = simulatedErrors(model, disable);
    String found = simulated + " simulated, " + executed + " executed";
    assertTrue(executed > 0.01, found);
    assertTrue(Math.abs(simulated - executed) < 0.05 * executed, found);
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      double real = meanSquare(disable, session.forward(images).collectAsList());
      double ratio = meanSquare(disable, score(model, Mode.SIMULATE)) / real;
      assertTrue(ratio > 0.9 && ratio < 1.1, "variance " + ratio + " of that under encryption");
    }
  }
}
