package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.cli.ChildJvm;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.Test;

/** Native memory behind sessions that are closed, in a JVM of their own. */
class NativeMemoryTest {
  private static final Pattern LINE =
      Pattern.compile("round \\d+: handles (\\d+), bytes in use (-?\\d+), heap (-?\\d+)");

  /** What tables of handles and threads may take more or less than a round before. */
  private static final long LEEWAY_BYTES = 64 << 10;

  @Test
  void nothingIsLeftOfSessionsThatWereClosedWhateverBecameOfTheirRuns() throws Exception {
    Path folder = Digits.newFolder("native-memory");
    SparkSession spark = Digits.session();
    Path linear = Digits.compiled(spark);
    Path lookups = Digits.compiledWhole(spark);
    Path keys = folder.resolve("keys");
    HybridModel model = Digits.load(lookups);
    try (ClientKey key = model.newKey()) {
      key.save(keys.resolve(KeyFolder.CLIENT_KEY));
      model.evaluationKeys(key, keys, share -> {});
    }
    spark.stop();
    CommandRun run =
        new ChildJvm()
            .run(
                NativeMemoryProgram.class,
                List.of(linear.toString(), lookups.toString(), keys.toString()));
    assertEquals(0, run.status(), run.err());
    List<Long> heap = new ArrayList<>();
    for (String line : run.out().strip().split("\n")) {
      Matcher told = LINE.matcher(line);
      assertTrue(told.matches(), line);
      assertEquals("0", told.group(1), run.out());
      assertEquals("0", told.group(2), run.out());
      heap.add(Long.parseLong(told.group(3)));
    }
    assertEquals(5, heap.size(), run.out());
    // The first round fills caches, such as plans of transforms.
    for (int round = 2; round < heap.size(); round++) {
      assertEquals(heap.get(1), heap.get(round), LEEWAY_BYTES, run.out());
    }
  }
}
