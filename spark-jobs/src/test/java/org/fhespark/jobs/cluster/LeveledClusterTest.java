package org.fhespark.jobs.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.cli.ChildJvm;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Logits;
import org.fhespark.jobs.client.Mode;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.Test;

class LeveledClusterTest {
  @Test
  void blocksLargerThanSparksMessagesReachTheExecutors() throws Exception {
    Path folder = Digits.newFolder("cluster");
    Path input = Digits.file("digits.parquet");
    List<Row> disable;
    List<Row> simulate;
    List<Row> found;
    CommandRun run;
    SparkSession spark = Digits.session();
    try {
      Path compiled = Digits.compiledLeveled(spark);
      HybridModel model = Digits.load(compiled);
      try (ClientKey key = model.newKey()) {
        key.save(folder.resolve("keys/client.key"));
        model.evaluationKeys(key, folder.resolve("keys"), share -> {});
      }
      disable = scored(spark, model, Mode.DISABLE);
      simulate = scored(spark, model, Mode.SIMULATE);
      run =
          new ChildJvm()
              .executors(folder)
              .run(
                  LeveledClusterProgram.class,
                  List.of(
                      compiled.toString(),
                      folder.resolve("keys").toString(),
                      input.toString(),
                      folder.resolve("scored").toString()));
      assertEquals(0, run.status(), run.err());
      found = Digits.read(spark, folder.resolve("scored"));
    } finally {
      spark.stop();
    }
    String up = run.out().lines().filter(line -> line.startsWith("MB up: ")).findFirst().get();
    assertTrue(Integer.parseInt(up.substring("MB up: ".length())) > 8, up);
    double error = Logits.largestError(disable, found);
    double noise = Logits.largestError(disable, simulate);
    assertTrue(error > 0 && error <= 1.5 * noise, error + " and " + noise);
  }

  private static List<Row> scored(SparkSession spark, HybridModel model, Mode mode) {
    try (HybridSession session = model.session(spark, mode)) {
      return session
          .forward(spark.createDataFrame(Digits.images(spark), Digits.schema()))
          .collectAsList();
    }
  }
}
