package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tables that fill panels, bodies, blocks and waves just so, and by one more or less. */
class BatchSizesTest {
  private static SparkSession spark;
  private static List<Row> images;

  @BeforeAll
  static void start() {
    spark = Digits.session();
    images = Digits.images(spark);
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  /** Every image once in mode DISABLE; a record's result does not depend on its neighbours. */
  private static List<Row> reference(HybridModel model) {
    try (HybridSession session = model.session(spark, Mode.DISABLE)) {
      return session.forward(spark.createDataFrame(images, Digits.schema())).collectAsList();
    }
  }

  private static void assertEveryRecordGetsItsOwnResult(HybridModel model, int records) {
    List<Row> reference = reference(model);
    List<Row> table = new ArrayList<>();
    List<Row> expected = new ArrayList<>();
    for (int i = 0; i < records; i++) {
      table.add(images.get(i % Digits.IMAGES));
      expected.add(reference.get(i % Digits.IMAGES));
    }
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      List<Row> scored =
          session.forward(spark.createDataFrame(table, Digits.schema())).collectAsList();
      assertEquals(0, Logits.differing(expected, scored));
      assertEquals(expected, scored);
    }
  }

  @Test
  void wavesFillLeveledBlocksBesidePackedOnes() {
    HybridModel packed = Digits.load(Digits.compiled(spark));
    HybridModel leveled = Digits.load(Digits.compiledLeveled(spark));
    Resources resources = new Resources();
    try {
      List<RemoteLayer> layers = new ArrayList<>();
      for (HybridModel model : List.of(packed, leveled)) {
        layers.addAll(
            RemoteLayer.open(model.specs(), Optional.empty(), OutOfRange.CLAMP, resources));
      }
      int leveledRows = layers.get(layers.size() - 1).cipher().blockRows();
      BatchSizes sizes = new BatchSizes(layers, packed.specs().inputs(), new AtomicLong(), () -> 1);
      assertTrue(sizes.batchUnits() < leveledRows, "a batch is a packed block");
      assertTrue(sizes.batchUnits() * sizes.waveBatches() >= leveledRows);
      assertTrue(sizes.batchUnits() * (sizes.waveBatches() - 1) < leveledRows);
    } finally {
      resources.close();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 63, 64, 65, 4095, 4096, 4097, 10_000})
  void aTableOfAnyLengthIsExact(int records) {
    assertEveryRecordGetsItsOwnResult(Digits.load(Digits.compiled(spark)), records);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 64, 4097})
  void parametersForSmallBlocksAreExactForAnyNumberOfRecords(int records) {
    HybridModel model =
        Digits.load(
            Digits.compile(
                spark,
                CompileOptions.remote(Digits.REMOTE).activationBits(16).expectedBatch(64).build()));
    int activationBits = model.specs().remote().get(0).quantization().activationBits();
    assertEquals(16, activationBits);
    assertTrue(
        model.specs().remote().stream().anyMatch(m -> m.parameters().polynomialSize() <= 128),
        "bodies are not small");
    assertEveryRecordGetsItsOwnResult(model, records);
  }
}
