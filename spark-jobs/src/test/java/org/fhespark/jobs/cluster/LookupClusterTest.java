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

class LookupClusterTest {
  /** Some blocks, so that one is under way when the executor goes. */
  private static final int IMAGES = 40;

  @Test
  void anExecutorThatIsKilledWithKeysLoadedLosesNothing() throws Exception {
    Path folder = Digits.newFolder("cluster");
    List<Row> expected;
    List<Row> found;
    CommandRun run;
    SparkSession spark = Digits.session();
    try {
      Path compiled = Digits.compiledWhole(spark);
      HybridModel model = Digits.load(compiled);
      try (ClientKey key = model.newKey()) {
        key.save(folder.resolve("keys/client.key"));
        model.evaluationKeys(key, folder.resolve("keys"), share -> {});
      }
      List<Row> images = Digits.images(spark).subList(0, IMAGES);
      Path input = Digits.write(spark, "images", Digits.schema(), images);
      try (HybridSession session = model.session(spark, Mode.DISABLE)) {
        expected = session.forward(spark.createDataFrame(images, Digits.schema())).collectAsList();
      }
      run =
          new ChildJvm()
              .executors(folder)
              .run(
                  LookupClusterProgram.class,
                  List.of(
                      compiled.toString(),
                      folder.resolve("keys").toString(),
                      input.toString(),
                      folder.resolve("scored").toString(),
                      // Smaller than the key, which so travels as a file.
                      "1m"));
      assertEquals(0, run.status(), run.err());
      found = Digits.read(spark, folder.resolve("scored"));
    } finally {
      spark.stop();
    }
    assertTrue(run.out().contains("executors lost: 1"), run.out());
    assertTrue(run.out().contains("files added: 1"), run.out());
    assertEquals(IMAGES, found.size());
    for (int i = 0; i < IMAGES; i++) {
      assertEquals(expected.get(i).get(0), found.get(i).get(0));
    }
    // A block that was lost, or another's, would leave logits that have nothing to do with these.
    double error = Logits.largestError(expected, found);
    assertTrue(error < 0.2, "error " + error);
  }
}
