package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.PublicKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The digits example with results that are re-randomised. */
class ProtectedScoringTest {
  private static SparkSession spark;
  private static HybridModel model;
  private static ClientKey key;

  @BeforeAll
  static void start() {
    spark = Digits.session();
    model =
        Digits.load(
            Digits.compile(
                spark, CompileOptions.remote(Digits.REMOTE).protectWeights(true).build()));
    key = model.newKey();
  }

  @AfterAll
  static void stop() {
    key.close();
    spark.stop();
  }

  private static List<Row> forward(HybridSession session) {
    Dataset<Row> images =
        spark.createDataFrame(Digits.images(spark).subList(0, 300), Digits.schema());
    return session.forward(images).collectAsList();
  }

  @Test
  void executeGivesWhatDisableDoes() {
    for (RemoteCallSpec call : model.specs().remote()) {
      PackedParameters parameters = call.parameters();
      assertEquals(
          PackedParameters.mostFlooding(
              parameters.limbs(), parameters.messageBits(), parameters.summands()),
          parameters.flooding());
      assertTrue(call.log2FailureProbability() <= -40, call.circuit());
    }
    try (HybridSession clear = model.session(spark, Mode.DISABLE);
        HybridSession simulated = model.session(spark, Mode.SIMULATE);
        HybridSession encrypted = model.session(spark, Mode.EXECUTE, key)) {
      List<Row> expected = forward(clear);
      assertEquals(expected, forward(encrypted));
      // Keys and circuits of the first run serve the second.
      assertEquals(expected, forward(encrypted));
      assertEquals(expected, forward(simulated));
    }
  }

  @Test
  void masksCannotBePreparedAhead() {
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      String message =
          assertThrows(InvalidInputException.class, () -> session.prepare(10)).getMessage();
      assertTrue(message.contains("'seq.0'") || message.contains("seq.0"), message);
      assertTrue(message.contains("--protect-weights"), message);
    }
  }

  @Test
  void thePublicKeyIsOfTheClientKey() {
    try (PublicKey made = PublicKey.open(model.publicKey(key))) {
      assertEquals(key.id(), made.keyId());
    }
    byte[] damaged = model.publicKey(key);
    damaged[damaged.length / 2] ^= 1;
    assertThrows(InvalidInputException.class, () -> PublicKey.open(damaged));
  }
}
