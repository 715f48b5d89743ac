package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtSession;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every image of the digits example in every mode, through score and through forward. */
class DigitsScoringTest {
  private static SparkSession spark;
  private static ClientKey key;
  private static HybridModel model;
  private static List<Row> images;
  private static final Map<Mode, Path> outputs = new EnumMap<>(Mode.class);
  private static final Map<Mode, List<Row>> scored = new EnumMap<>(Mode.class);
  private static final Map<Mode, ScoreReport> reports = new EnumMap<>(Mode.class);

  @BeforeAll
  static void scoreAllImages() {
    spark = Digits.session();
    model = Digits.load(Digits.compiled(spark));
    key = model.newKey();
    images = Digits.images(spark);
    // Mode REMOTE needs a server: RemoteScoringTest.
    for (Mode mode : EnumSet.complementOf(EnumSet.of(Mode.REMOTE))) {
      Path output = Digits.newFolder("scored").resolve(mode.lowerCase());
      try (HybridSession session = model.session(spark, mode, key)) {
        reports.put(
            mode,
            session.score(
                Digits.hadoop(Digits.file("digits.parquet")),
                Digits.hadoop(output),
                false,
                ScoreProgress.SILENT));
      }
      outputs.put(mode, output);
      scored.put(mode, Digits.read(spark, output));
    }
  }

  @AfterAll
  static void stop() {
    key.close();
    spark.stop();
  }

  @Test
  void executeEqualsDisableBitForBitOnEveryImage() {
    assertEquals(0, Logits.differing(scored.get(Mode.DISABLE), scored.get(Mode.EXECUTE)));
  }

  @Test
  void simulateEqualsDisableWhereParametersDecryptRight() {
    assertEquals(0, Logits.differing(scored.get(Mode.DISABLE), scored.get(Mode.SIMULATE)));
    assertEquals(
        reports.get(Mode.EXECUTE).noiseMarginBits(), reports.get(Mode.SIMULATE).noiseMarginBits());
  }

  @Test
  void calibrateScoresAsTorchDoes() {
    assertEquals(scored.get(Mode.TORCH), scored.get(Mode.CALIBRATE));
  }

  @Test
  void torchIsTheModelAsOnnxRuntimeRunsItWhole() throws Exception {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    float[][] pixels = new float[Digits.IMAGES][];
    for (int i = 0; i < pixels.length; i++) {
      List<Float> values = images.get(i).getList(1);
      pixels[i] = new float[values.size()];
      for (int j = 0; j < pixels[i].length; j++) {
        pixels[i][j] = values.get(j);
      }
    }
    try (OrtSession whole = environment.createSession(Digits.file("digits.onnx").toString());
        OnnxTensor input = OnnxTensor.createTensor(environment, pixels);
        OrtSession.Result result = whole.run(Map.of("pixels", input))) {
      float[][] expected = (float[][]) result.get(0).getValue();
      for (int i = 0; i < expected.length; i++) {
        assertArrayEquals(
            expected[i], Logits.of(scored.get(Mode.TORCH).get(i)), 1e-3f, "image " + i);
      }
    }
  }

  @Test
  void torchClassifiesAtLeast97PercentOfTheTestImages() {
    double accuracy = Logits.testAccuracy(scored.get(Mode.TORCH));
    assertTrue(accuracy >= 0.97, "accuracy " + accuracy);
  }

  @Test
  void quantisationCostsLessThanAPointOfAccuracy() {
    double torch = Logits.testAccuracy(scored.get(Mode.TORCH));
    double disable = Logits.testAccuracy(scored.get(Mode.DISABLE));
    assertTrue(Math.abs(torch - disable) <= 0.01, torch + " and " + disable);
    assertTrue(
        Logits.differing(scored.get(Mode.TORCH), scored.get(Mode.DISABLE)) > 0,
        "mode disable does not quantise");
  }

  @ParameterizedTest
  @EnumSource(value = Mode.class, mode = EnumSource.Mode.EXCLUDE, names = "REMOTE")
  void rowsKeepTheirOrderAndTheirColumns(Mode mode) {
    assertEquals(Digits.IMAGES, scored.get(mode).size());
    for (int i = 0; i < Digits.IMAGES; i++) {
      Row row = scored.get(mode).get(i);
      assertArrayEquals(
          new String[] {"id", "pixels", "label", "split", "logits"}, row.schema().fieldNames());
      for (int column = 0; column < 4; column++) {
        assertEquals(images.get(i).get(column), row.get(column), "row " + i);
      }
    }
  }

  @Test
  void sparkReadsTheOutput() throws Exception {
    Path output = outputs.get(Mode.EXECUTE);
    Dataset<Row> table = spark.read().parquet(output.toString());
    assertEquals("array<float>", table.schema().apply("logits").dataType().simpleString());
    List<Row> rows = table.orderBy("id").collectAsList();
    assertEquals(0, Logits.differing(scored.get(Mode.EXECUTE), rows));
    assertEquals(
        Digits.IMAGES, table.filter(functions.size(functions.col("logits")).equalTo(10)).count());
    assertTrue(Files.exists(output.resolve("_SUCCESS")));
    try (Stream<Path> beside = Files.list(output.getParent())) {
      assertEquals(List.of(output), beside.toList());
    }
  }

  @ParameterizedTest
  @EnumSource(value = Mode.class, mode = EnumSource.Mode.EXCLUDE, names = "REMOTE")
  void forwardGivesTheRowsThatScoreWrites(Mode mode) {
    Dataset<Row> records = spark.createDataFrame(images, Digits.schema());
    try (HybridSession session = model.session(spark, mode, key)) {
      assertEquals(scored.get(mode), session.forward(records).collectAsList());
    }
  }

  @Test
  void forwardTakesADatasetThatSparkReads() {
    Dataset<Row> records =
        spark.read().parquet(Digits.file("digits.parquet").toString()).filter("id < 100");
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      List<Row> rows = session.forward(records.orderBy("id")).collectAsList();
      assertEquals(0, Logits.differing(scored.get(Mode.DISABLE).subList(0, 100), rows));
    }
  }

  @Test
  void aSessionScoresAgainAndAgain() {
    Dataset<Row> records = spark.createDataFrame(images.subList(0, 3), Digits.schema());
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      for (int run = 0; run < 3; run++) {
        assertEquals(
            scored.get(Mode.DISABLE).subList(0, 3), session.forward(records).collectAsList());
      }
    }
  }

  @Test
  void theReportCountsWhatTravelled() {
    ScoreReport report = reports.get(Mode.EXECUTE);
    assertEquals(Digits.IMAGES, report.records());
    assertEquals((64L + 128 + 64) * Digits.IMAGES, report.valuesUp());
    assertEquals((128L + 64 + 10) * Digits.IMAGES, report.valuesDown());
    assertTrue(report.bytesPerValueUp() > 3 && report.bytesPerValueUp() <= 5.1, report.toString());
    assertTrue(report.noiseMarginBits() >= 0, report.toString());
    assertEquals(0, reports.get(Mode.TORCH).bytesUp() + reports.get(Mode.DISABLE).bytesUp());
  }

  @Test
  void aDatasetWithoutRecordsIsRefused() {
    try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      Dataset<Row> none = spark.createDataFrame(List.of(), Digits.schema());
      assertThrows(InvalidInputException.class, () -> session.forward(none));
    }
  }

  @Test
  void executeWithoutAKeyIsRefused() {
    InvalidInputException error =
        assertThrows(InvalidInputException.class, () -> model.session(spark, Mode.EXECUTE));
    assertTrue(error.getMessage().contains("key"), error.getMessage());
  }
}
