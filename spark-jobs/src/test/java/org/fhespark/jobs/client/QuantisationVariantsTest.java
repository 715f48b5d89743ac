package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Bits and scales of every kind, on images and on records made to overflow. */
class QuantisationVariantsTest {
  private static SparkSession spark;
  private static Dataset<Row> images;
  private static Dataset<Row> extremes;

  @BeforeAll
  static void start() throws Exception {
    spark = Digits.session();
    List<Row> all = Digits.images(spark);
    images = spark.createDataFrame(all.subList(0, 130), Digits.schema());
    extremes = spark.createDataFrame(extremes(all.subList(0, 20)), Digits.schema());
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static List<Row> extremes(List<Row> some) throws Exception {
    List<float[]> records = new ArrayList<>();
    for (Row image : some) {
      List<Float> pixels = image.getList(1);
      for (float factor : new float[] {1e6f, -1e6f, 1e30f, 1e-30f, 1e-43f}) {
        float[] scaled = new float[64];
        for (int i = 0; i < 64; i++) {
          scaled[i] = pixels.get(i) * factor;
        }
        records.add(scaled);
      }
    }
    // The signs of a neuron's weights reach the largest accumulator that there is.
    AffineCall first = RemoteWeights.call("seq.0");
    float[] weights = RemoteWeights.of("seq.0");
    for (int neuron = 0; neuron < first.dOut(); neuron++) {
      float[] aligned = new float[64];
      for (int i = 0; i < 64; i++) {
        aligned[i] = Math.copySign(neuron % 2 == 0 ? 1f : 1e6f, weights[neuron * 64 + i]);
      }
      records.add(aligned);
    }
    records.add(new float[64]);
    for (float lonely : new float[] {1f, -1e6f, Float.MIN_VALUE, 1e30f}) {
      float[] record = new float[64];
      record[17] = lonely;
      records.add(record);
    }
    float[] dominated = new float[64];
    Arrays.fill(dominated, 1e-3f);
    dominated[3] = 1e5f;
    records.add(dominated);
    List<Row> rows = new ArrayList<>();
    for (float[] record : records) {
      rows.add(RowFactory.create((long) rows.size(), record, 0L, "test"));
    }
    return rows;
  }

  static Stream<Arguments> variants() {
    List<Arguments> variants = new ArrayList<>();
    int[] activationBits = {4, 16, 8, 5, 12, 0, 10};
    for (int weightBits = 2; weightBits <= 8; weightBits++) {
      for (QuantizationMode mode : QuantizationMode.values()) {
        int bits = activationBits[(weightBits - 2 + mode.ordinal()) % activationBits.length];
        variants.add(
            Arguments.of(weightBits, bits == 0 ? OptionalInt.empty() : OptionalInt.of(bits), mode));
      }
    }
    variants.add(Arguments.of(8, OptionalInt.of(16), QuantizationMode.STATIC));
    variants.add(Arguments.of(8, OptionalInt.of(4), QuantizationMode.DYNAMIC));
    return variants.stream();
  }

  @ParameterizedTest
  @MethodSource("variants")
  void executeEqualsDisable(int weightBits, OptionalInt activationBits, QuantizationMode mode) {
    CompileOptions.Builder options =
        CompileOptions.remote(Digits.REMOTE).weightBits(weightBits).quantization(mode);
    activationBits.ifPresent(options::activationBits);
    HybridModel model = Digits.load(Digits.compile(spark, options.build()));
    model
        .specs()
        .remote()
        .forEach(
            remote -> {
              assertEquals(weightBits, remote.weightBits());
              assertEquals(mode == QuantizationMode.DYNAMIC, remote.quantization().isDynamic());
              activationBits.ifPresent(
                  bits -> assertEquals(bits, remote.quantization().activationBits()));
              assertTrue(remote.log2FailureProbability() <= -40);
            });
    try (ClientKey key = model.newKey();
        HybridSession disable = model.session(spark, Mode.DISABLE);
        HybridSession execute = model.session(spark, Mode.EXECUTE, key)) {
      for (Dataset<Row> records : List.of(images, extremes)) {
        assertEquals(
            0,
            Logits.differing(
                disable.forward(records).collectAsList(),
                execute.forward(records).collectAsList()));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("subsets")
  void someModulesRemoteAreAsExactAsAll(List<String> remote) {
    HybridModel model = Digits.load(Digits.compile(spark, CompileOptions.remote(remote).build()));
    try (ClientKey key = model.newKey();
        HybridSession disable = model.session(spark, Mode.DISABLE);
        HybridSession execute = model.session(spark, Mode.EXECUTE, key)) {
      assertEquals(
          disable.forward(images).collectAsList(), execute.forward(images).collectAsList());
    }
  }

  static Stream<List<String>> subsets() {
    return Stream.of(
        List.of("seq.0"), List.of("seq.2"), List.of("seq.4"), List.of("seq.4", "seq.0"));
  }
}
