package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.Decomposition;
import org.fhespark.nativelib.EvaluationKey;
import org.fhespark.nativelib.LookupCircuit;
import org.fhespark.nativelib.LookupClient;
import org.fhespark.nativelib.LookupResultsSpec;
import org.fhespark.nativelib.LookupStep;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Two values of three activations, looked up in a table that is the identity. */
class EvaluateLookupsTest {
  private static final PackedParameters PACKED = new PackedParameters(4, 512, 5, 5, 5, 5, 16, 1);
  private static final BootstrapParameters PARAMETERS =
      new BootstrapParameters(900, 4, 512, new Decomposition(23, 1), new Decomposition(4, 3), 2);
  private static final int[] DIMENSIONS = {PARAMETERS.lweDimension()};
  private static final byte[] WEIGHTS = {1, 2, 3, 4, 5, 6};
  private static final int RECORDS = 3;

  private static JavaSparkContext spark;
  private static byte[] circuitFile;
  private static ModuleClient client;
  private static ClientKey key;
  private static byte[] keyFile;
  private static Broadcast<Circuit> circuit;

  @BeforeAll
  static void make() {
    spark =
        new JavaSparkContext(
            new SparkConf()
                .setMaster("local[2]")
                .setAppName("look-ups")
                .set("spark.ui.enabled", "false"));
    long[] table = new long[PARAMETERS.polynomialSize()];
    for (int i = 0; i < table.length; i++) {
      table[i] = (i - table.length / 2) * ((1L << 62) / (table.length / 2));
    }
    circuitFile =
        LookupCircuit.encode(
            PACKED,
            PARAMETERS,
            "mlp",
            3,
            2,
            WEIGHTS,
            List.of(table),
            List.of(new LookupStep.Lookup(0, 2, 4, 1L << 62, 0)),
            new int[] {2, 3});
    circuit = spark.broadcast(new Circuit(circuitFile));
    key = ClientKey.generate(new byte[32], List.of(PACKED.secretKeyShape()), DIMENSIONS);
    client =
        ModuleClient.withKey(
            new ModuleSpec(
                CircuitDigest.of(circuitFile),
                PACKED,
                3,
                2,
                WeightNorms.of(WEIGHTS, 3, 2),
                new Quantization(10, 1f),
                new float[] {1, 1},
                new float[0]),
            key);
    keyFile = key.evaluationKey(PARAMETERS, PACKED.secretKeyShape(), 2, share -> {});
  }

  @AfterAll
  static void stop() {
    client.close();
    key.close();
    spark.stop();
  }

  private static ByteBuffer records() {
    ByteBuffer records = ByteBuffer.allocateDirect(4 * 3 * RECORDS).order(ByteOrder.nativeOrder());
    for (int i = 0; i < 3 * RECORDS; i++) {
      records.putFloat(100 - 20 * i);
    }
    return records.flip();
  }

  private static byte[] block() {
    return client.encrypt(records(), new float[RECORDS], 7);
  }

  private static EvaluationKeySource broadcast(byte[] file) {
    return new EvaluationKeySource.InBroadcast(
        CircuitDigest.of(file).hex(), spark.broadcast(new EvaluationKeyBytes(file)));
  }

  private static EvaluationKey expanded() {
    return EvaluationKey.expand(
        keyFile, new EvaluationKey.Description(key.id(), PARAMETERS, CircuitDigest.of(keyFile)), 2);
  }

  private static EvaluateBlocks evaluator(EvaluationKeySource key) {
    String digest = CircuitDigest.of(circuitFile).hex();
    return new EvaluateBlocks(Map.of(digest, circuit), Map.of(digest, key));
  }

  private static byte[] evaluate(EvaluateBlocks evaluator, byte[] block) {
    try (EncryptedBlock result =
        evaluator.call(List.of(EncryptedBlock.copyOf(block)).iterator()).next()) {
      return result.toByteArray();
    }
  }

  private static void assertRefused(String part, EvaluationKeySource source) {
    byte[] block = block();
    InvalidInputException error =
        assertThrows(InvalidInputException.class, () -> evaluate(evaluator(source), block));
    assertEquals(1, error.getMessage().lines().count(), error.getMessage());
    assertTrue(error.getMessage().contains(part), error.getMessage());
  }

  @Test
  void resultsDecryptToThePhasesButForTheNoiseThatIsPredicted() {
    byte[] result = evaluate(evaluator(broadcast(keyFile)), block());
    LookupResultsSpec results =
        new LookupResultsSpec(
            CircuitDigest.of(circuitFile), PARAMETERS, new double[] {1, 1}, new float[0]);
    try (LookupClient reader = LookupClient.withKey(results, key);
        LookupCircuit clear = LookupCircuit.open(circuitFile)) {
      long[] found = reader.decryptPhases(result, 7);
      long[] expected = clear.phases(client.quantize(records(), new float[RECORDS]));
      assertEquals(2 * RECORDS, found.length);
      // What is read is off by the noise before the look-up, and then by that of the way out.
      double before = clear.noise().steps().get(0);
      double deviation = Math.hypot(before, clear.noise().outputs());
      for (int i = 0; i < found.length; i++) {
        double error = Math.abs(found[i] - expected[i]) * 0x1p-64;
        assertTrue(error < 7 * deviation, error + " and " + deviation);
      }
    }
  }

  @Test
  void damagedTruncatedWrongAndForeignKeysAreRefusedInOneLine() {
    byte[] damaged = keyFile.clone();
    damaged[damaged.length / 2] ^= 1;
    assertRefused("checksum", broadcast(damaged));
    assertRefused("truncated", broadcast(Arrays.copyOf(keyFile, keyFile.length - 9)));
    assertRefused("not an evaluation key", broadcast(circuitFile));
    EvaluationKeySource another =
        new EvaluationKeySource.InBroadcast(
            CircuitDigest.of(circuitFile).hex(), spark.broadcast(new EvaluationKeyBytes(keyFile)));
    assertRefused("another than was sent", another);
    assertRefused(
        "which the driver added", new EvaluationKeySource.InFile("0".repeat(64), "no-such.key"));
    try (ClientKey other =
        ClientKey.generate(new byte[32], List.of(PACKED.secretKeyShape()), DIMENSIONS)) {
      byte[] foreign = other.evaluationKey(PARAMETERS, PACKED.secretKeyShape(), 2, share -> {});
      int before = CircuitRegistry.shared().evaluationKeys();
      assertRefused("of client key " + other.id().substring(0, 16), broadcast(foreign));
      BootstrapParameters others =
          new BootstrapParameters(
              900, 4, 512, new Decomposition(23, 1), new Decomposition(4, 2), 2);
      byte[] unfit = key.evaluationKey(others, PACKED.secretKeyShape(), 2, share -> {});
      assertRefused("has other parameters", broadcast(unfit));
      assertEquals(before, CircuitRegistry.shared().evaluationKeys(), "expanded all the same");
    }
  }

  @Test
  void anEvaluationKeyIsExpandedOnceAndReleasedWhenIdle() {
    AtomicLong now = new AtomicLong();
    CircuitRegistry registry = new CircuitRegistry(now::get);
    EvaluationKeySource source = broadcast(keyFile);
    CircuitRegistry.Lease first = registry.acquire(circuit.value(), source, key.id(), 2);
    CircuitRegistry.Lease second = registry.acquire(circuit.value(), source, key.id(), 2);
    assertEquals(List.of(1, 1), List.of(registry.size(), registry.evaluationKeys()));
    assertEquals(2, registry.users(circuit.value()));
    try (EvaluationKey expanded = expanded()) {
      assertEquals(expanded.memoryBytes(), registry.evaluationKeyBytes());
    }
    first.close();
    now.addAndGet(CircuitRegistry.IDLE_LIMIT.toNanos() + 1);
    registry.releaseIdle();
    assertEquals(1, registry.evaluationKeys());
    second.close();
    now.addAndGet(CircuitRegistry.IDLE_LIMIT.toNanos() + 1);
    registry.releaseIdle();
    assertEquals(List.of(0, 0), List.of(registry.size(), registry.evaluationKeys()));
  }

  @Test
  void anEvaluationStopsWhenItIsAskedTo() {
    try (LookupCircuit opened = LookupCircuit.open(circuitFile);
        EvaluationKey expanded = expanded();
        EncryptedBlock sent = EncryptedBlock.copyOf(block())) {
      BlockEvaluation evaluation =
          (inputArray, inputSchema, outputArray, outputSchema, threads, shouldStop) ->
              opened.evaluate(
                  expanded,
                  inputArray,
                  inputSchema,
                  outputArray,
                  outputSchema,
                  threads,
                  shouldStop);
      assertThrows(
          CancellationException.class,
          () -> BlockBatch.evaluate(evaluation, List.of(sent), 2, () -> true));
    }
  }
}
