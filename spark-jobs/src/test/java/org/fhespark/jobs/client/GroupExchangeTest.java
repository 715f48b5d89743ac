package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.server.EvaluationJob;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Groups whose rows do not fit memory together, several remote calls, and rows that will not do.
 */
class GroupExchangeTest {
  private static final StructType SCHEMA = StructType.fromDDL("pixels ARRAY<FLOAT>, weight DOUBLE");

  private static SparkSession spark;
  private static HybridModel model;
  private static ClientKey key;
  private static Path server;

  @BeforeAll
  static void compile() {
    spark = Digits.session();
    Path compiled = Digits.compile(spark, CompileOptions.remote(List.of("seq.4")).sums(2).build());
    server = compiled.resolve("server");
    model = Digits.load(compiled);
    key = model.newKey();
  }

  @AfterAll
  static void stop() {
    key.close();
    spark.stop();
  }

  private static List<Row> rows(int count) {
    List<Row> rows = new ArrayList<>();
    for (Row image : Digits.images(spark).subList(0, count)) {
      double weight = image.getLong(0) % 7;
      // As Spark groups, both zeros are one.
      Double group = weight == 0 && image.getLong(0) % 2 == 0 ? Double.valueOf(-0.0) : weight;
      rows.add(RowFactory.create(image.<Float>getList(1).toArray(), group));
    }
    return rows;
  }

  private static List<Row> means(Path records, long waitingBytes) {
    return aggregates(model, key, server, records, "weight", waitingBytes, Aggregate.MEAN);
  }

  private static List<Row> aggregates(
      HybridModel model,
      ClientKey key,
      Path server,
      Path records,
      String groupBy,
      long waitingBytes,
      Aggregate aggregate) {
    Path folder = Digits.newFolder("passes");
    Path told = folder.resolve("told");
    try (ExchangeSession session = model.exchange(spark, key)) {
      GroupReport encrypted =
          session.encryptGroups(
              Digits.hadoop(records),
              groupBy,
              folder.resolve("state"),
              Digits.hadoop(folder.resolve("blocks")),
              waitingBytes,
              ScoreProgress.SILENT);
      assertEquals(7, encrypted.groups());
      assertEquals((long) 7 * model.specs().remote().size(), encrypted.blocks());
      try (EvaluationJob job =
          EvaluationJob.open(spark, Digits.hadoop(server), List.of(), List.of())) {
        job.sum(Digits.hadoop(folder.resolve("blocks")), Digits.hadoop(folder.resolve("sums")));
      }
      session.decryptGroups(
          folder.resolve("state"),
          Digits.hadoop(folder.resolve("sums")),
          aggregate,
          Digits.hadoop(told),
          false,
          ScoreProgress.SILENT);
    }
    return Digits.read(spark, told);
  }

  @Test
  void aGroupAtATimeGivesTheSameAsAllTogether() {
    Path records = Digits.write(spark, "records", SCHEMA, rows(100));
    List<Row> together = means(records, GroupSteps.WAITING_BYTES);
    assertEquals(
        List.of(15L, 15L, 14L, 14L, 14L, 14L, 14L),
        together.stream().map(row -> row.getLong(1)).toList());
    assertEquals(together, means(records, 1));
  }

  /** Modules a and b read x, c reads relu(x); c's result goes by another name in the end. */
  private static byte[] severalCalls() {
    Random random = new Random(11);
    GraphProto.Builder graph =
        GraphProto.newBuilder()
            .setName("heads")
            .addInput(LinearModel.matrix("x", 6))
            .addOutput(LinearModel.matrix("c_told", 2))
            .addOutput(LinearModel.matrix("b_out", 3))
            .addOutput(LinearModel.matrix("a_out", 1));
    new TreeMap<>(Map.of("a", 1, "b", 3, "c", 2))
        .forEach(
            (module, outputs) ->
                graph
                    .addInitializer(LinearModel.tensor(module + ".weight", random, outputs, 6))
                    .addInitializer(LinearModel.tensor(module + ".bias", random, outputs)));
    graph
        .addNode(LinearModel.gemm("a", "x", "a_out"))
        .addNode(LinearModel.gemm("b", "x", "b_out"))
        .addNode(node("Relu", "x", "h"))
        .addNode(LinearModel.gemm("c", "h", "c_out"))
        .addNode(node("Identity", "c_out", "c_told"));
    return ModelProto.newBuilder()
        .setIrVersion(8)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(17))
        .setGraph(graph)
        .build()
        .toByteArray();
  }

  private static NodeProto node(String operator, String input, String output) {
    return NodeProto.newBuilder()
        .setName("/" + operator)
        .setOpType(operator)
        .addInput(input)
        .addOutput(output)
        .build();
  }

  @Test
  void outputsOfSeveralCallsAreFoundInTheirResults() {
    Random random = new Random(12);
    List<Row> rows = new ArrayList<>();
    for (int record = 0; record < 50; record++) {
      Float[] x = new Float[6];
      Arrays.setAll(x, unused -> (float) random.nextGaussian());
      rows.add(RowFactory.create(x, (double) (record % 7)));
    }
    Path records =
        Digits.write(spark, "records", StructType.fromDDL("x ARRAY<FLOAT>, site DOUBLE"), rows);
    Path compiled =
        LinearModel.compile(
            spark,
            severalCalls(),
            records,
            CompileOptions.remote(List.of("a", "b", "c")).sums(2).build());
    HybridModel heads = Digits.load(compiled);
    assertEquals(2, heads.specs().remote().size());
    Map<Double, double[]> expected = new TreeMap<>();
    Path scored = Digits.newFolder("heads").resolve("scored");
    try (HybridSession session = heads.session(spark, Mode.DISABLE)) {
      session.score(Digits.hadoop(records), Digits.hadoop(scored), false, ScoreProgress.SILENT);
    }
    for (Row row : Digits.read(spark, scored)) {
      double[] sums = expected.computeIfAbsent(row.getDouble(1), unused -> new double[6]);
      int at = 0;
      for (int output = 2; output < 5; output++) {
        for (float value : row.<Float>getList(output)) {
          sums[at++] += value;
        }
      }
    }
    try (ClientKey own = heads.newKey()) {
      List<Row> told =
          aggregates(
              heads,
              own,
              compiled.resolve("server"),
              records,
              "site",
              GroupSteps.WAITING_BYTES,
              Aggregate.SUM);
      assertEquals(
          List.of("site", "count", "c_told", "b_out", "a_out"),
          List.of(told.get(0).schema().fieldNames()));
      for (Row row : told) {
        List<Double> sums = new ArrayList<>(row.<Double>getList(2));
        sums.addAll(row.getList(3));
        sums.addAll(row.getList(4));
        double[] wanted = expected.get(row.getDouble(0));
        for (int i = 0; i < wanted.length; i++) {
          assertEquals(wanted[i], sums.get(i), 1e-5, row + ", value " + i);
        }
      }
    }
  }

  @Test
  void aRecordWithoutAValueIsNamedAndLeavesNoState() {
    List<Row> rows = rows(10);
    Float[] pixels = new Float[64];
    Arrays.fill(pixels, Float.NaN);
    rows.set(6, RowFactory.create(pixels, 3.0));
    Path records = Digits.write(spark, "records", SCHEMA, rows);
    Path folder = Digits.newFolder("passes");
    try (ExchangeSession session = model.exchange(spark, key)) {
      InvalidInputException error =
          assertThrows(
              InvalidInputException.class,
              () ->
                  session.encryptGroups(
                      Digits.hadoop(records),
                      "weight",
                      folder.resolve("state"),
                      Digits.hadoop(folder.resolve("blocks")),
                      1,
                      ScoreProgress.SILENT));
      assertTrue(error.getMessage().contains("record 7"), error.getMessage());
    }
    assertFalse(Files.exists(folder.resolve("state")));
  }
}
