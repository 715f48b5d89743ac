package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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

/** Groups of which more rows would wait than memory has room for, and rows that will not do. */
class GroupPassesTest {
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
    Path folder = Digits.newFolder("passes");
    Path told = folder.resolve("told");
    try (ExchangeSession session = model.exchange(spark, key)) {
      GroupReport encrypted =
          session.encryptGroups(
              Digits.hadoop(records),
              "weight",
              folder.resolve("state"),
              Digits.hadoop(folder.resolve("blocks")),
              waitingBytes,
              ScoreProgress.SILENT);
      assertEquals(7, encrypted.groups());
      assertEquals(7, encrypted.blocks());
      try (EvaluationJob job =
          EvaluationJob.open(spark, Digits.hadoop(server), List.of(), List.of())) {
        job.sum(Digits.hadoop(folder.resolve("blocks")), Digits.hadoop(folder.resolve("sums")));
      }
      session.decryptGroups(
          folder.resolve("state"),
          Digits.hadoop(folder.resolve("sums")),
          Aggregate.MEAN,
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

  @Test
  void aRecordWithoutAValueIsNamedAndLeavesNoState() {
    List<Row> rows = rows(10);
    Float[] pixels = new Float[64];
    java.util.Arrays.fill(pixels, Float.NaN);
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
