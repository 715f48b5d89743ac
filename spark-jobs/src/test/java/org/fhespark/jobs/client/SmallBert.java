package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.ModelCompiler;

/** A BERT of two layers with a padding mask, and sentences for it. */
final class SmallBert {
  static final StructType SCHEMA =
      StructType.fromDDL(
          "id BIGINT, input_ids ARRAY<BIGINT>, attention_mask ARRAY<BIGINT>,"
              + " token_type_ids ARRAY<BIGINT>");
  static final int LAYERS = 2;
  static final int WIDTH = 8;

  /** Tokens of the longest sentence. */
  static final int LONGEST = 6;

  static final Path ONNX =
      Digits.checkout().resolve("compiler/src/test/resources/models/bert.onnx");

  /** Keys of all linear modules of its layers. */
  static final List<String> LINEARS =
      layers()
          .flatMap(
              layer ->
                  Stream.of(
                          "attention.self.query",
                          "attention.self.key",
                          "attention.self.value",
                          "attention.output.dense",
                          "intermediate.dense",
                          "output.dense")
                      .map(part -> layer + part))
          .toList();

  /** Keys of its feed-forward blocks: linear, GELU, linear. */
  static final List<String> BLOCKS =
      layers().map(layer -> layer + "intermediate+" + layer + "output.dense").toList();

  private static final int SENTENCES = 900;
  private static final int CALIBRATION = 64;

  private SmallBert() {}

  private static Stream<String> layers() {
    return IntStream.range(0, LAYERS).mapToObj(layer -> "encoder.layer." + layer + ".");
  }

  /** Several waves of linear layers, in no order of length. */
  static List<Row> sentences() {
    Random random = new Random(7);
    List<Row> sentences = new ArrayList<>();
    for (int i = 0; i < SENTENCES; i++) {
      sentences.add(sentence(i, 1 + random.nextInt(LONGEST), random));
    }
    return sentences;
  }

  private static Row sentence(long id, int length, Random random) {
    long[] ids = new long[length];
    long[] types = new long[length];
    long[] mask = new long[length];
    for (int i = 0; i < length; i++) {
      ids[i] = 1 + random.nextInt(16);
      types[i] = random.nextInt(2);
      mask[i] = 1;
    }
    return RowFactory.create(id, ids, mask, types);
  }

  /** The same sentences as a tokeniser pads them, which shows the compiler what padding is. */
  static List<Row> padded(List<Row> rows) {
    return rows.stream()
        .map(
            row ->
                RowFactory.create(
                    row.getLong(0),
                    Arrays.copyOf(row.<long[]>getAs(1), LONGEST),
                    Arrays.copyOf(row.<long[]>getAs(2), LONGEST),
                    Arrays.copyOf(row.<long[]>getAs(3), LONGEST)))
        .toList();
  }

  /** Compiles it, calibrated with the first sentences. */
  static Path compile(SparkSession spark, CompileOptions options) {
    List<Row> records = padded(sentences().subList(0, CALIBRATION));
    Path calibration = Digits.write(spark, "sentences", SCHEMA, records);
    Path compiled = Digits.newFolder("bert").resolve("compiled");
    try (CalibrationTable table =
        CalibrationTable.open(spark, Digits.hadoop(ONNX), Digits.hadoop(calibration))) {
      new ModelCompiler(new Configuration())
          .compile(Digits.hadoop(ONNX), table.batches(), options, Digits.hadoop(compiled));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return compiled;
  }

  /** An output of a scored sentence. */
  static float[] values(Row row, String output) {
    List<Float> list = row.getList(row.fieldIndex(output));
    float[] values = new float[list.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = list.get(i);
    }
    return values;
  }

  /** The largest difference of a hidden value; those are of unit variance. */
  static double largestError(List<Row> expected, List<Row> found) {
    assertEquals(expected.size(), found.size());
    double largest = 0;
    for (int i = 0; i < expected.size(); i++) {
      float[] wanted = values(expected.get(i), "hidden");
      float[] given = values(found.get(i), "hidden");
      assertEquals(wanted.length, given.length);
      for (int j = 0; j < wanted.length; j++) {
        largest = Math.max(largest, Math.abs(wanted[j] - given[j]));
      }
    }
    return largest;
  }
}
