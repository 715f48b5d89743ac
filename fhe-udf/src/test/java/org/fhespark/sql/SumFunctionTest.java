package org.fhespark.sql;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.serializer.KryoSerializer;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;
import org.fhespark.udf.FheKryoRegistrator;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** fhe.sum over results that SQL has evaluated: exact, and as many as the circuit allows. */
class SumFunctionTest {
  private static final int INPUTS = 6;
  private static final int OUTPUTS = 3;
  private static final int RECORDS = 8;
  private static final int BLOCKS = 1000;

  /** p has room for 1,000 times the largest accumulator, 6 · 127 · 127. */
  private static final PackedParameters PARAMETERS =
      new PackedParameters(36, 64, 7, 6, 6, 5, 28, 2, BLOCKS);

  @TempDir private static java.nio.file.Path folder;

  private static SparkSession spark;
  private static ClientKey key;
  private static ModuleClient client;

  /** Of each group, in clear. */
  private static final long[][] EXPECTED = new long[4][RECORDS * OUTPUTS];

  @BeforeAll
  static void encrypt() throws IOException {
    spark =
        SparkSession.builder()
            .master("local[2]")
            .appName("sums")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.serializer", KryoSerializer.class.getName())
            .config("spark.kryo.registrator", FheKryoRegistrator.class.getName())
            .config("spark.sql.catalog.fhe", FheCatalog.class.getName())
            .getOrCreate();
    Random random = new Random(3);
    byte[] weights = new byte[INPUTS * OUTPUTS];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = (byte) (random.nextInt(255) - 127);
    }
    byte[] file = PackedCircuit.encode(PARAMETERS, "fc", INPUTS, OUTPUTS, weights);
    ModuleSpec spec =
        new ModuleSpec(
            CircuitDigest.of(file),
            PARAMETERS,
            INPUTS,
            OUTPUTS,
            WeightNorms.of(weights, INPUTS, OUTPUTS),
            new Quantization(8, 0.01f),
            new float[] {1, 1, 1},
            new float[0]);
    key = ClientKey.generate(new byte[32], List.of(PARAMETERS.secretKeyShape()));
    client = ModuleClient.withKey(spec, key);
    List<Row> rows = new ArrayList<>();
    try (PackedCircuit clear = PackedCircuit.open(file)) {
      // One more than may be added.
      for (int number = 0; number <= BLOCKS; number++) {
        ByteBuffer records =
            ByteBuffer.allocateDirect(4 * RECORDS * INPUTS).order(ByteOrder.nativeOrder());
        while (records.hasRemaining()) {
          records.putFloat((float) random.nextGaussian());
        }
        records.flip();
        rows.add(
            RowFactory.create((long) number, client.encrypt(records, new float[RECORDS], number)));
        if (number < BLOCKS) {
          long[] accumulators = clear.accumulate(client.quantize(records, new float[RECORDS]));
          for (int i = 0; i < accumulators.length; i++) {
            EXPECTED[number % EXPECTED.length][i] += accumulators[i];
          }
        }
      }
    }
    Path server = new Path(folder.toString());
    ServerArtifact.write(
        FileStore.of(server, new Configuration()),
        server,
        "0".repeat(64),
        Map.of("fc", file),
        Map.of(),
        Map.of());
    spark.sql("CALL fhe.register('model', '" + folder + "')");
    StructType schema =
        new StructType().add("number", DataTypes.LongType).add("block", DataTypes.BinaryType);
    spark
        .createDataFrame(rows, schema)
        .repartition(5)
        .selectExpr("number", "fhe.model_fc(block) AS block")
        .write()
        .parquet(folder.resolve("results").toString());
    spark
        .read()
        .parquet(folder.resolve("results").toString())
        .repartition(5)
        .createOrReplaceTempView("results");
  }

  @AfterAll
  static void stop() {
    client.close();
    key.close();
    spark.stop();
  }

  private static byte[] sum(String where) {
    return (byte[]) spark.sql("SELECT fhe.sum(block) FROM results " + where).head().get(0);
  }

  @Test
  void aThousandBlocksAddUpExactlyAndOneMoreIsRefused() {
    long[] expected = new long[RECORDS * OUTPUTS];
    for (long[] group : EXPECTED) {
      for (int i = 0; i < expected.length; i++) {
        expected[i] += group[i];
      }
    }
    assertArrayEquals(expected, client.decryptSumAccumulators(sum("WHERE number < " + BLOCKS)));

    Throwable error = assertThrows(Exception.class, () -> sum(""));
    while (!(error instanceof InvalidInputException)) {
      error = error.getCause();
    }
    assertTrue(
        error.getMessage().contains("results would exceed the 1000 that circuit"),
        error.getMessage());
  }

  @Test
  void groupsHaveSumsOfTheirOwnThatSayHowManyTheyHold() {
    List<Row> groups =
        spark
            .sql(
                "SELECT g, s, d.kind, d.summands, d.max_summands, d.records FROM (SELECT g, s,"
                    + " fhe.describe(s) AS d FROM (SELECT number % 4 AS g, fhe.sum(block) AS s FROM"
                    + " results WHERE number < 1000 GROUP BY number % 4)) ORDER BY g")
            .collectAsList();
    assertEquals(EXPECTED.length, groups.size());
    for (Row group : groups) {
      assertArrayEquals(
          EXPECTED[(int) group.getLong(0)], client.decryptSumAccumulators((byte[]) group.get(1)));
      assertEquals(
          List.of("sums", BLOCKS / EXPECTED.length, BLOCKS, RECORDS),
          List.of(group.get(2), group.get(3), group.get(4), group.get(5)));
    }
  }

  @Test
  void theSumOfNothingIsNull() {
    assertEquals(null, sum("WHERE number < 0"));
    assertEquals(
        List.of(1L),
        List.of(
            spark
                .sql(
                    "SELECT fhe.describe(fhe.sum(IF(number = 7, block, NULL))).summands + 0L FROM"
                        + " results")
                .head()
                .get(0)));
  }
}
