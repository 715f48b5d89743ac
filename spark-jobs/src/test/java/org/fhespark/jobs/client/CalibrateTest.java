package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.compiler.artifact.ActivationSummary;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Statistics that the data's owner gathers, in place of records. */
class CalibrateTest {
  private static SparkSession spark;
  private static CalibrationStatistics ofDigits;

  @BeforeAll
  static void gather() {
    spark = Digits.session();
    ofDigits = gather(Digits.load(Digits.compiled(spark)), Digits.file("calibration.parquet"));
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static CalibrationStatistics gather(HybridModel model, Path records) {
    try (HybridSession session = model.session(spark, Mode.CALIBRATE)) {
      session.calibrate(Digits.hadoop(records), ScoreProgress.SILENT);
      return session.statistics();
    }
  }

  /** What compilation saw at the tensors that remote modules read, by their names. */
  private static TreeMap<String, CompileReport.CalibratedInput> inputs(CompileReport report) {
    return report.modules().stream()
        .flatMap(module -> module.inputs().stream())
        .collect(
            Collectors.toMap(
                CompileReport.CalibratedInput::tensor, input -> input, (a, b) -> a, TreeMap::new));
  }

  private static void assertSameRows(CompileReport expected, CalibrationStatistics statistics) {
    TreeMap<String, CompileReport.CalibratedInput> inputs = inputs(expected);
    assertEquals(inputs.size(), statistics.inputs().size());
    for (ActivationSummary found : statistics.inputs()) {
      CompileReport.CalibratedInput input = inputs.get(found.tensor());
      assertEquals(input.rows(), found.rows(), found.tensor());
      assertEquals(input.maxActivation(), found.maxAbs(), 1e-5f * input.maxActivation());
      long nonZero = input.rowMaxima().counts().stream().mapToLong(Long::longValue).sum();
      assertEquals(nonZero, found.nonZeroRows(), found.tensor());
    }
  }

  private static CompileReport compile(Path model, Path table, CompileOptions options, Path out)
      throws IOException {
    try (CalibrationTable records =
        CalibrationTable.open(spark, Digits.hadoop(model), Digits.hadoop(table))) {
      return new ModelCompiler(new Configuration())
          .compile(Digits.hadoop(model), records.batches(), options, Digits.hadoop(out));
    }
  }

  private static CompileReport compile(
      Path model, CalibrationStatistics statistics, CompileOptions options, Path out) {
    return new ModelCompiler(new Configuration())
        .compile(Digits.hadoop(model), statistics, options, Digits.hadoop(out));
  }

  @ParameterizedTest
  @EnumSource(QuantizationMode.class)
  void statisticsCompileToWhatTheirRecordsCompileTo(QuantizationMode mode) throws IOException {
    CompileOptions options =
        CompileOptions.remote(Digits.REMOTE).quantization(mode).activationBits(8).build();
    Path byRecords = Digits.newFolder("records").resolve("model");
    Path byStatistics = Digits.newFolder("statistics").resolve("model");
    Path onnx = Digits.file("digits.onnx");
    CompileReport expected = compile(onnx, Digits.file("calibration.parquet"), options, byRecords);
    assertSameRows(expected, ofDigits);
    assertEquals(List.of(), expected.unchecked());
    CompileReport report = compile(onnx, ofDigits, options, byStatistics);
    assertFalse(report.unchecked().isEmpty());
    HybridModel model = Digits.load(byStatistics);
    List<RemoteCallSpec> calls = model.specs().remote();
    for (int i = 0; i < calls.size(); i++) {
      RemoteCallSpec found = calls.get(i);
      RemoteCallSpec other = Digits.load(byRecords).specs().remote().get(i);
      assertEquals(other.circuit(), found.circuit());
      int more = found.parameters().messageBits() - other.parameters().messageBits();
      assertTrue(more == 0 || more == 1, more + " more message bits");
      assertEquals(
          other.quantization().staticScale(),
          found.quantization().staticScale(),
          1e-5f * other.quantization().staticScale());
    }
    Dataset<Row> images =
        spark.createDataFrame(Digits.images(spark).subList(0, 130), Digits.schema());
    try (ClientKey key = model.newKey();
        HybridSession disable = model.session(spark, Mode.DISABLE);
        HybridSession execute = model.session(spark, Mode.EXECUTE, key)) {
      assertEquals(
          disable.forward(images).collectAsList(), execute.forward(images).collectAsList());
    }
  }

  @Test
  void windowsOfConvolutionsAreSeenAsCompilationSeesThem() throws IOException {
    Path onnx = Digits.checkout().resolve("examples/cnn/cnn.onnx");
    Path out = Digits.newFolder("cnn").resolve("model");
    CompileOptions options =
        CompileOptions.remote(List.of("features.0", "features.3", "classifier")).build();
    CompileReport expected = compile(onnx, Digits.file("calibration.parquet"), options, out);
    CalibrationStatistics statistics = gather(Digits.load(out), Digits.file("calibration.parquet"));
    for (ActivationSummary found : statistics.inputs()) {
      CompileReport.CalibratedInput input = inputs(expected).get(found.tensor());
      assertEquals(input.rows(), found.rows(), 0.01 * input.rows(), found.tensor());
      assertEquals(input.maxActivation(), found.maxAbs(), 1e-5f * input.maxActivation());
    }
    Path again = Digits.newFolder("cnn").resolve("again");
    compile(onnx, statistics, options, again);
    assertEquals(
        Digits.load(out).specs().remote().stream().map(RemoteCallSpec::unfolding).toList(),
        Digits.load(again).specs().remote().stream().map(RemoteCallSpec::unfolding).toList());
  }

  @Test
  void theOrderOfRecordsAndTheNumberOfRunsMakeNoDifference() {
    List<Row> rows = Digits.read(spark, Digits.file("calibration.parquet"));
    HybridModel model = Digits.load(Digits.compiled(spark));
    try (HybridSession session = model.session(spark, Mode.CALIBRATE)) {
      int half = rows.size() / 2;
      for (List<Row> part : List.of(rows.subList(half, rows.size()), rows.subList(0, half))) {
        session.forward(spark.createDataFrame(part, rows.get(0).schema())).collectAsList();
      }
      CalibrationStatistics statistics = session.statistics();
      assertEquals(rows.size(), statistics.records());
      // What ONNX Runtime computes may differ in a last bit with the batch; what it reads may not.
      assertEquals(ofDigits.inputs().get(0), statistics.inputs().get(0));
    }
  }

  @Test
  void theFileHoldsNoElementOfARecordButTheLargest() throws IOException {
    float[] pixels = new float[64];
    for (int i = 0; i < 64; i++) {
      pixels[i] = 0.012345f + i / 1024f;
    }
    Dataset<Row> records =
        spark.createDataFrame(
            List.of(RowFactory.create(424242L, pixels, 7L, "secret-split")), Digits.schema());
    Path file = Digits.newFolder("statistics").resolve("statistics.json");
    try (HybridSession session =
        Digits.load(Digits.compiled(spark)).session(spark, Mode.CALIBRATE)) {
      session.forward(records).collectAsList();
      session.statistics().write(Digits.hadoop(file), false, new Configuration());
      assertEquals(
          session.statistics(),
          CalibrationStatistics.read(Digits.hadoop(file), new Configuration()));
    }
    String text = Files.readString(file);
    assertTrue(text.contains(Float.toString(pixels[63])), text);
    for (int i = 0; i < 63; i++) {
      assertFalse(text.contains(Float.toString(pixels[i])), "pixel " + i);
    }
    assertFalse(text.contains("424242") || text.contains("secret-split"), text);
  }

  @Test
  void anInfiniteActivationIsRefusedByRecord() {
    List<Row> rows = new java.util.ArrayList<>(Digits.images(spark).subList(0, 4));
    float[] pixels = new float[64];
    java.util.Arrays.fill(pixels, 3e38f);
    rows.add(RowFactory.create(9L, pixels, 0L, "test"));
    HybridModel model = Digits.load(Digits.compiled(spark));
    try (HybridSession session = model.session(spark, Mode.CALIBRATE)) {
      Dataset<Row> records = spark.createDataFrame(rows, Digits.schema());
      InvalidInputException error =
          assertThrows(InvalidInputException.class, () -> session.forward(records));
      assertTrue(error.getMessage().contains("record 5"), error.getMessage());
      assertTrue(error.getMessage().contains("seq."), error.getMessage());
    }
  }

  @Test
  void otherModesGatherNothingAndNoRecordIsNoStatistic() {
    HybridModel model = Digits.load(Digits.compiled(spark));
    try (HybridSession torch = model.session(spark, Mode.TORCH);
        HybridSession calibrate = model.session(spark, Mode.CALIBRATE)) {
      assertThrows(InvalidInputException.class, torch::statistics);
      InvalidInputException error =
          assertThrows(InvalidInputException.class, calibrate::statistics);
      assertTrue(error.getMessage().contains("no record"), error.getMessage());
    }
  }

  @Test
  void statisticsOfAnotherModelOrOfTooFewModulesAreRefused() {
    CompileOptions options = CompileOptions.remote(List.of("seq.4")).build();
    Path out = Digits.newFolder("refused").resolve("model");
    CalibrationStatistics foreign =
        new CalibrationStatistics(
            ofDigits.formatVersion(), "0".repeat(64), null, 1, ofDigits.inputs());
    CalibrationStatistics partial =
        new CalibrationStatistics(
            ofDigits.formatVersion(),
            ofDigits.modelDigest(),
            null,
            1,
            ofDigits.inputs().subList(0, 1));
    String otherModel =
        assertThrows(
                InvalidInputException.class,
                () -> compile(Digits.file("digits.onnx"), foreign, options, out))
            .getMessage();
    assertTrue(otherModel.contains("another model"), otherModel);
    String uncovered =
        assertThrows(
                InvalidInputException.class,
                () -> compile(Digits.file("digits.onnx"), partial, options, out))
            .getMessage();
    assertTrue(uncovered.contains("'seq.4'"), uncovered);
    assertFalse(Files.exists(out));
  }
}
