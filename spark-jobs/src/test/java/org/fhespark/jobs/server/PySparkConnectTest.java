package org.fhespark.jobs.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.jobs.cli.ChildProcess;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedCircuit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The packaged jar serves on PyPI's Spark, and PySpark asks. */
@Tag("slow")
class PySparkConnectTest {
  private static final int RECORDS = 70;

  @Test
  void pysparkEvaluatesACircuitBySql() throws Exception {
    Path home = Path.of(System.getenv("FHE_SPARK_TEST_SPARK_HOME"));
    Path python = home.resolve("../../../../bin/python").normalize();
    assertTrue(Files.exists(python), python + " is not there; `make test-all` makes it");
    SparkSession spark = Digits.session();
    Path compiled = Digits.compiled(spark);
    spark.stop();
    HybridModel model = Digits.load(compiled);
    RemoteCallSpec call = model.specs().remote().get(0);
    byte[] circuit =
        ServerArtifact.load(Digits.hadoop(compiled.resolve("server")), new Configuration())
            .circuit(call.circuit());
    Path folder = Digits.newFolder("pyspark");
    Path token = Files.writeString(folder.resolve("token"), "a token of PySpark\n");
    try (ClientKey key = model.newKey();
        ModuleClient client = ModuleClient.withKey(call.moduleSpec(), key);
        PackedCircuit clear = PackedCircuit.open(circuit);
        ServedModels server =
            ServedModels.onDistribution(
                home, token, List.of("digits=" + compiled.resolve("server")))) {
      ByteBuffer records = records(call.dIn());
      Files.write(folder.resolve("block"), client.encrypt(records, new float[RECORDS], 1));
      CommandRun run =
          ChildProcess.run(
              List.of(
                  python.toString(),
                  Digits.checkout()
                      .resolve("spark-jobs/src/test/python/connect_query.py")
                      .toString(),
                  server.url(),
                  token.toString(),
                  "digits_seq_0",
                  folder.resolve("block").toString(),
                  folder.resolve("result").toString()),
              Map.of());
      assertEquals(0, run.status(), run.err());
      assertEquals(
          List.of(
              "activations " + call.circuitDigest() + " " + key.id() + " " + RECORDS,
              "digits_seq_0 digits_seq_2 digits_seq_4"),
          run.out().lines().toList());
      assertArrayEquals(
          clear.accumulate(client.quantize(records, new float[RECORDS])),
          client.decryptAccumulators(Files.readAllBytes(folder.resolve("result"))));
    }
  }

  private static ByteBuffer records(int width) {
    ByteBuffer records =
        ByteBuffer.allocateDirect(4 * RECORDS * width).order(ByteOrder.nativeOrder());
    for (int i = 0; i < RECORDS * width; i++) {
      records.putFloat((float) Math.sin(i));
    }
    return records.flip();
  }
}
