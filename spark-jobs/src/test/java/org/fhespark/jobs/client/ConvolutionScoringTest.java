package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The convolutional examples, every convolution and the last linear layer remote. */
class ConvolutionScoringTest {
  private static final List<String> CNN = List.of("features.0", "features.3", "classifier");

  private static SparkSession spark;

  @BeforeAll
  static void start() {
    spark = Digits.session();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  @ParameterizedTest
  @ValueSource(strings = {"cnn.onnx", "cnn.dynamo.onnx"})
  void theCnnIsExactAndWithinAPointOfFloat(String file) throws IOException {
    check(
        example("cnn", file),
        CNN,
        example("digits", "calibration.parquet"),
        example("digits", "digits.parquet"),
        1797);
  }

  @Tag("slow")
  @ParameterizedTest
  @ValueSource(strings = {"resnet18.onnx", "resnet18.dynamo.onnx"})
  void resNet18IsExactAndWithinAPointOfFloat(String file) throws IOException {
    check(
        example("cnn", file),
        resNet18(),
        example("cnn", "calibration32.parquet"),
        example("cnn", "images32.parquet"),
        450);
  }

  private static void check(
      Path onnx, List<String> remote, Path calibration, Path images, int imageCount)
      throws IOException {
    Path out = Digits.newFolder("convolution").resolve("model");
    try (CalibrationTable records =
        CalibrationTable.open(spark, Digits.hadoop(onnx), Digits.hadoop(calibration))) {
      new ModelCompiler(new Configuration())
          .compile(
              Digits.hadoop(onnx),
              records.batches(),
              CompileOptions.remote(remote).build(),
              Digits.hadoop(out));
    }
    HybridModel model = Digits.load(out);
    Map<Mode, List<Row>> scored = new EnumMap<>(Mode.class);
    try (ClientKey key = model.newKey()) {
      for (Mode mode : List.of(Mode.TORCH, Mode.DISABLE, Mode.EXECUTE)) {
        Path output = Digits.newFolder("convolution").resolve(mode.lowerCase());
        try (HybridSession session = model.session(spark, mode, key)) {
          session.score(Digits.hadoop(images), Digits.hadoop(output), false, ScoreProgress.SILENT);
        }
        scored.put(mode, Digits.read(spark, output));
      }
    }
    assertEquals(imageCount, scored.get(Mode.EXECUTE).size());
    assertEquals(0, Logits.differing(scored.get(Mode.DISABLE), scored.get(Mode.EXECUTE)));
    assertTrue(
        Logits.differing(scored.get(Mode.TORCH), scored.get(Mode.DISABLE)) > 0,
        "mode disable does not quantise");
    double torch = Logits.accuracy(scored.get(Mode.TORCH));
    double execute = Logits.accuracy(scored.get(Mode.EXECUTE));
    assertTrue(torch >= 0.97, "float accuracy " + torch);
    assertTrue(Math.abs(torch - execute) <= 0.01, torch + " and " + execute);
  }

  private static List<String> resNet18() {
    List<String> keys = new ArrayList<>(List.of("conv1", "fc"));
    for (int stage = 1; stage <= 4; stage++) {
      for (int block = 0; block < 2; block++) {
        keys.add("layer" + stage + "." + block + ".conv1");
        keys.add("layer" + stage + "." + block + ".conv2");
      }
      if (stage > 1) {
        keys.add("layer" + stage + ".0.downsample.0");
      }
    }
    return keys;
  }

  private static Path example(String folder, String name) {
    return Digits.checkout().resolve("examples").resolve(folder).resolve(name);
  }
}
