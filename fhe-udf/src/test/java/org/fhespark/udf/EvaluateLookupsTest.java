package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.CollectionAccumulator;
import org.apache.spark.util.LongAccumulator;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.Decomposition;
import org.fhespark.nativelib.EvaluationKey;
import org.fhespark.nativelib.LookupCircuit;
import org.fhespark.nativelib.LookupClient;
import org.fhespark.nativelib.LookupResultsSpec;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedParameters;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class EvaluateLookupsTest {
  private static final PackedParameters PACKED = LookupLayer.PACKED;
  private static final BootstrapParameters PARAMETERS = LookupLayer.PARAMETERS;
  private static final int[] DIMENSIONS = {PARAMETERS.lweDimension()};
  private static final int RECORDS = LookupLayer.RECORDS;

  private static JavaSparkContext spark;
  private static LookupLayer layer;
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
    layer = LookupLayer.make();
    circuitFile = layer.circuitFile();
    circuit = spark.broadcast(new Circuit(circuitFile));
    key = layer.key();
    client = layer.client();
    keyFile = layer.keyFile();
  }

  @AfterAll
  static void stop() {
    layer.close();
    spark.stop();
  }

  private static ByteBuffer records() {
    return LookupLayer.records();
  }

  private static byte[] block() {
    return layer.block();
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

  /** A row that is refused would not be looked at again. */
  @Test
  void whatTheExecutorLacksIsNoFaultOfTheRows() {
    EvaluationKeySource lost = new EvaluationKeySource.InFile("0".repeat(64), "no-such.key");
    LongAccumulator evaluated = spark.sc().longAccumulator();
    CollectionAccumulator<String> refused = spark.sc().collectionAccumulator();
    StructType schema = BlockTable.schema();
    EvaluateRows work =
        EvaluateRows.quarantining(evaluator(lost), schema, "blocks", evaluated, refused);
    Object[] row = new Object[schema.length() + 2];
    byte[] block = block();
    row[schema.fieldIndex(BlockTable.NUMBER)] = BlockHeader.of(ByteBuffer.wrap(block)).number();
    row[schema.fieldIndex(BlockTable.BLOCK)] = block;
    row[schema.length()] = "file:/blocks/a.parquet";
    row[schema.length() + 1] = 1L;
    UncheckedIOException error =
        assertThrows(
            UncheckedIOException.class,
            () -> work.call(List.of(RowFactory.create(row)).iterator()).next());
    assertTrue(error.getMessage().contains("which the driver added"), error.getMessage());
    assertEquals(List.of(), refused.value());
    assertEquals(0, evaluated.value());
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
