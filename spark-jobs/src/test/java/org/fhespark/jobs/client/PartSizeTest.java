package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PartSizeTest {
  private static SparkSession spark;

  @BeforeAll
  static void start() {
    spark = Digits.session();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static int partSize(Path compiled, SparkConf conf) {
    HybridModel model = Digits.load(compiled);
    Resources resources = new Resources();
    try {
      return PartSize.of(
          RemoteLayer.open(model.specs(), Optional.empty(), OutOfRange.CLAMP, resources),
          model.specs().inputs(),
          conf);
    } finally {
      resources.close();
    }
  }

  @Test
  void aSmallModelHasPartsOfWholeBlocksUpToABound() {
    int records = partSize(Digits.compiled(spark), new SparkConf(false));
    assertTrue(records > 250_000 && records <= 1 << 18, "records: " + records);
    int block =
        Digits.load(Digits.compiled(spark)).specs().remote().get(0).parameters().maxRecords();
    assertEquals(0, records % block);
  }

  /** Such a record takes a third of a second on two cores. */
  @Test
  void aModelWithLookUpsHasPartsOfSomeDozenRecords() {
    int records = partSize(Digits.compiledWhole(spark), new SparkConf(false));
    assertTrue(records >= 12 && records <= 60, "records: " + records);
  }

  /** Such a block takes half a second, and holds some thousand records. */
  @Test
  void aLeveledModelHasPartsOfSomeBlocks() {
    Path compiled = Digits.compiledLeveled(spark);
    int records = partSize(compiled, new SparkConf(false));
    int block =
        Digits.load(compiled).specs().remote().get(0).leveled().parameters().polynomialSize();
    assertEquals(0, records % block);
    assertTrue(records >= block && records <= 16 * block, "records: " + records);
  }

  @Test
  void aSettingSaysAnother() {
    assertEquals(
        77, partSize(Digits.compiled(spark), new SparkConf(false).set(PartSize.RECORDS, "77")));
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "many", "3000000000"})
  void aSettingThatIsNoNumberOfRecordsIsRefused(String value) {
    InvalidInputException error =
        assertThrows(
            InvalidInputException.class,
            () ->
                partSize(
                    Digits.compiled(spark), new SparkConf(false).set(PartSize.RECORDS, value)));
    assertTrue(error.getMessage().contains("'" + value + "'"), error.getMessage());
  }
}
