package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A small BERT with a padding mask on sentences of any length, in one table. */
class SequencesTest {
  /** Of the sentences, so that they take several waves of an exchange. */
  private static final int COPIES = 24;

  private static SparkSession spark;
  private static Path compiled;
  private static HybridModel model;
  private static List<Row> sentences;

  @BeforeAll
  static void start() {
    spark = Digits.session();
    sentences = SmallBert.sentences();
    compiled = SmallBert.compile(spark, CompileOptions.remote(SmallBert.LINEARS).build());
    model = Digits.load(compiled);
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static List<Row> score(Mode mode, List<Row> rows) {
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, mode, key)) {
      return session.forward(spark.createDataFrame(rows, SmallBert.SCHEMA)).collectAsList();
    }
  }

  @Test
  void theModelSkipsPaddingAndStacksQueryKeyAndValue() {
    assertEquals("attention_mask", model.specs().paddingMask());
    assertTrue(model.specs().remote().stream().allMatch(call -> call.skipsPadding()));
    assertTrue(model.specs().remote().stream().anyMatch(call -> call.outputs().size() == 3));
  }

  @Test
  void calibrationSeesNoPaddingAndStatisticsKeepItSkipped() {
    try (HybridSession session = model.session(spark, Mode.CALIBRATE)) {
      session.forward(spark.createDataFrame(sentences, SmallBert.SCHEMA)).collectAsList();
      CalibrationStatistics statistics = session.statistics();
      long tokens = sentences.stream().mapToLong(row -> row.<long[]>getAs(1).length).sum();
      assertTrue(statistics.inputs().stream().allMatch(input -> input.rows() == tokens));
      Path onnx = SmallBert.ONNX;
      Path out = Digits.newFolder("bert").resolve("again");
      new ModelCompiler(new Configuration())
          .compile(
              Digits.hadoop(onnx),
              statistics,
              CompileOptions.remote(SmallBert.LINEARS).build(),
              Digits.hadoop(out));
      assertEquals("attention_mask", Digits.load(out).specs().paddingMask());
      assertTrue(Digits.load(out).specs().remote().stream().allMatch(call -> call.skipsPadding()));
    }
  }

  @Test
  void executeEqualsDisableInEveryValueOfEverySentence() {
    List<Row> disable = score(Mode.DISABLE, sentences);
    List<Row> execute = score(Mode.EXECUTE, sentences);
    assertEquals(sentences.size(), disable.size());
    assertEquals(disable, execute);
    for (int i = 0; i < sentences.size(); i++) {
      assertEquals(i, disable.get(i).getLong(0));
      int length = sentences.get(i).<long[]>getAs(1).length;
      assertEquals(length * SmallBert.WIDTH, SmallBert.values(disable.get(i), "hidden").length);
      assertEquals(SmallBert.WIDTH, SmallBert.values(disable.get(i), "pooled").length);
    }
  }

  @Test
  void anExchangeThatIsTakenUpAgainGivesWhatExecuteGives() throws Exception {
    Path folder = Digits.newFolder("exchange");
    // More than fit a wave.
    List<Row> many = new ArrayList<>();
    for (int i = 0; i < COPIES; i++) {
      many.addAll(sentences);
    }
    Path records = Digits.write(spark, "records", SmallBert.SCHEMA, many);
    try (ClientKey key = model.newKey()) {
      try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
        session.score(
            Digits.hadoop(records),
            Digits.hadoop(folder.resolve("executed")),
            false,
            ScoreProgress.SILENT);
      }
      // Nobody is there.
      InvalidInputException error =
          assertThrows(
              InvalidInputException.class,
              () -> exchange(key, records, folder, Duration.ofSeconds(1)));
      assertTrue(error.getMessage().contains("nothing has come"), error.getMessage());
      try (WatchedFolder unused = new WatchedFolder(spark, compiled.resolve("server"), folder)) {
        exchange(key, records, folder, Duration.ofMinutes(10));
      }
    }
    assertTrue(files(folder.resolve("blocks")) > model.specs().remote().size() + 1, "waves");
    assertEquals(
        Digits.read(spark, folder.resolve("executed")),
        Digits.read(spark, folder.resolve("exchanged")));
  }

  private static void exchange(ClientKey key, Path records, Path folder, Duration patience) {
    try (ExchangeSession session = model.exchange(spark, key)) {
      RoundReport report =
          session.exchange(
              Digits.hadoop(records),
              folder.resolve("state"),
              Digits.hadoop(folder.resolve("blocks")),
              Digits.hadoop(folder.resolve("results")),
              patience,
              Digits.hadoop(folder.resolve("exchanged")),
              false,
              ScoreProgress.SILENT);
      assertTrue(report.isScored());
      assertEquals(COPIES * sentences.size(), report.records());
    }
  }

  private static long files(Path folder) throws java.io.IOException {
    try (Stream<Path> inside = Files.list(folder)) {
      return inside.filter(file -> file.toString().endsWith(".parquet")).count();
    }
  }

  @Test
  void aSentenceIsEmbeddedAsIfItWereAlone() {
    List<Row> some = sentences.subList(0, 40);
    List<Row> together = score(Mode.TORCH, some);
    for (int i = 0; i < some.size(); i++) {
      Row alone = score(Mode.TORCH, some.subList(i, i + 1)).get(0);
      for (String output : List.of("hidden", "pooled")) {
        float[] expected = SmallBert.values(alone, output);
        float[] found = SmallBert.values(together.get(i), output);
        assertEquals(expected.length, found.length);
        for (int j = 0; j < expected.length; j++) {
          assertEquals(expected[j], found[j], 1e-4, output + " of sentence " + i);
        }
      }
    }
  }

  @Test
  void columnsOfOneSentenceThatDifferInLengthAreRefusedByName() {
    List<Row> rows = new ArrayList<>(sentences.subList(0, 3));
    rows.add(RowFactory.create(9L, new long[] {1, 2, 3}, new long[] {1, 1}, new long[] {0, 0, 0}));
    InvalidInputException error =
        assertThrows(InvalidInputException.class, () -> score(Mode.DISABLE, rows));
    assertTrue(
        error.getMessage().contains("column 'attention_mask', record 4"), error.getMessage());
    assertEquals(1, error.getMessage().lines().count());
  }

  @Test
  void aTableThatHoldsPaddingIsScoredToo() {
    List<Row> rows = new ArrayList<>(sentences.subList(0, 2));
    rows.add(RowFactory.create(9L, new long[] {1, 2}, new long[] {1, 0}, new long[] {0, 0}));
    assertEquals(score(Mode.DISABLE, rows), score(Mode.EXECUTE, rows));
    assertEquals(
        Arrays.asList(0L, 1L, 9L),
        score(Mode.TORCH, rows).stream().map(r -> r.getLong(0)).toList());
  }

  /** Sentences padded to one length, as tensors. */
  private static Map<String, ModelTensor> tensors(List<Row> rows) {
    List<Row> padded = SmallBert.padded(rows);
    Map<String, ModelTensor> tensors = new HashMap<>();
    List<String> names = List.of("input_ids", "attention_mask", "token_type_ids");
    for (int input = 0; input < names.size(); input++) {
      ModelTensor tensor = ModelTensor.allocate(ElementType.INT64, rows.size(), SmallBert.LONGEST);
      for (int record = 0; record < rows.size(); record++) {
        tensor
            .data()
            .asLongBuffer()
            .put(record * SmallBert.LONGEST, padded.get(record).<long[]>getAs(1 + input));
      }
      tensors.put(names.get(input), tensor);
    }
    return tensors;
  }

  private static int words(List<Row> rows) {
    return rows.stream().mapToInt(row -> row.<long[]>getAs(1).length).sum();
  }

  /** Requires that tensors hold what a table's rows do. */
  private static void assertSame(List<Row> expected, TensorResults results) {
    int first = 0;
    for (Map<String, ModelTensor> batch : results.outputs()) {
      int records = (int) batch.get("pooled").shape()[0];
      for (String output : List.of("hidden", "pooled")) {
        FloatBuffer found = batch.get(output).data().asFloatBuffer();
        for (int record = first; record < first + records; record++) {
          for (float value : SmallBert.values(expected.get(record), output)) {
            assertEquals(Float.floatToIntBits(value), Float.floatToIntBits(found.get()));
          }
        }
        assertEquals(0, found.remaining());
      }
      first += records;
    }
    assertEquals(expected.size(), first);
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "REMOTE")
  void tensorsGiveWhatATableGives(Mode mode) {
    List<Row> some = sentences.subList(0, 20);
    List<Row> expected = score(mode, SmallBert.padded(some));
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, mode, key)) {
      // Twice, for a session may be used again and leaves the inputs as they are.
      List<Map<String, ModelTensor>> inputs =
          List.of(tensors(some.subList(0, 12)), tensors(some.subList(12, 20)));
      for (int run = 0; run < 2; run++) {
        TensorResults results = session.forward(inputs);
        assertSame(expected, results);
        assertEquals(20, results.report().records());
      }
    }
  }

  @Test
  void preparedMasksSaveBytesAndChangeNoValue() {
    List<Row> some = sentences.subList(0, 20);
    List<Row> expected = score(Mode.DISABLE, SmallBert.padded(some));
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      List<Map<String, ModelTensor>> inputs = List.of(tensors(some));
      TensorResults ordinary = session.forward(inputs);
      assertSame(expected, ordinary);
      // For one run: the next finds no slots left and is an ordinary one again.
      spark.sparkContext().setJobDescription("the caller's");
      ScoreReport masks = session.prepare(words(some)).report();
      assertEquals("the caller's", spark.sparkContext().getLocalProperty("spark.job.description"));
      assertTrue(masks.bytesDown() > 0);
      assertEquals(0, masks.valuesUp());
      TensorResults prepared = session.forward(inputs);
      TensorResults without = session.forward(inputs);
      assertSame(expected, prepared);
      assertSame(expected, without);
      assertEquals(0, without.report().preparedRows());
      assertTrue(prepared.report().preparedRows() >= words(some));
      assertTrue(prepared.report().bytesDown() < ordinary.report().bytesDown() / 2);
      assertEquals(ordinary.report().bytesDown(), without.report().bytesDown());
      assertEquals(ordinary.report().valuesDown(), prepared.report().valuesDown());
    }
  }

  @Test
  void tensorsThatDoNotFitAreRefusedByName() {
    try (HybridSession session = model.session(spark, Mode.DISABLE)) {
      Map<String, ModelTensor> good = tensors(sentences.subList(0, 2));
      Map<String, ModelTensor> missing = new HashMap<>(good);
      missing.remove("token_type_ids");
      assertRefused(
          session,
          missing,
          "forward: batch 0: input 'token_type_ids' is missing; give a tensor for each input of"
              + " the model");
      Map<String, ModelTensor> floats = new HashMap<>(good);
      floats.put("input_ids", ModelTensor.allocate(ElementType.FLOAT, 2, SmallBert.LONGEST));
      assertRefused(
          session,
          floats,
          "forward: batch 0: input 'input_ids' is FLOAT of shape [2, 6], the model takes INT64 of"
              + " shape [-1] after the axis of records (-1: any length); convert or reshape it");
      Map<String, ModelTensor> more = new HashMap<>(good);
      more.put("attention_mask", ModelTensor.allocate(ElementType.INT64, 3, SmallBert.LONGEST));
      assertRefused(
          session,
          more,
          "forward: batch 0: input 'attention_mask' holds 3 records, 'input_ids' 2; give all"
              + " inputs of a batch the same, at least one");
      assertEquals(1, session.forward(List.of(good)).outputs().size());
    }
  }

  private static void assertRefused(
      HybridSession session, Map<String, ModelTensor> inputs, String message) {
    assertEquals(
        message,
        assertThrows(InvalidInputException.class, () -> session.forward(List.of(inputs)))
            .getMessage());
  }
}
