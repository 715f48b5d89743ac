package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.Future;
import java.util.stream.LongStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.EncryptedBlock;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The masks of one call, a sum of three inputs: no slot is ever used twice. */
class PreparedMasksTest {
  private static final PackedParameters PARAMETERS =
      new PackedParameters(20, 64, 4, 4, 4, 3, 17, 4);
  private static final int INPUTS = 3;

  /** Where a block says what it is under. */
  private static final int SEED = 56;

  private static final int SEED_END = 72;
  private static final int FIRST_SLOT = 112;

  private static SparkSession spark;
  private static ClientThreads threads;
  private static ClientKey key;
  private static byte[] circuit;
  private static RemoteCallSpec spec;

  private final Measurements measurements = new Measurements();
  private ModuleClient client;
  private RemoteLayer layer;

  @BeforeAll
  static void start() {
    spark = Digits.session();
    threads = new ClientThreads(2);
    key = ClientKey.generate(new byte[32], List.of(PARAMETERS.secretKeyShape()));
    byte[] weights = {1, 1, 1};
    circuit = PackedCircuit.encode(PARAMETERS, "m", INPUTS, 1, weights);
    spec =
        new RemoteCallSpec(
            "m",
            0,
            "x",
            null,
            List.of(new CallOutput("m", "y", 1)),
            false,
            INPUTS,
            1,
            CircuitDigest.of(circuit).hex(),
            PARAMETERS,
            WeightNorms.of(weights, INPUTS, 1),
            new Quantization(8, 1f),
            new float[] {1},
            null,
            4,
            -40,
            0,
            null,
            null);
  }

  @AfterAll
  static void stop() {
    key.close();
    threads.close();
    spark.stop();
  }

  @BeforeEach
  void open() {
    client = ModuleClient.withKey(spec.moduleSpec(), key);
    layer = new RemoteLayer(spec, Optional.empty(), new PackedCipher(spec, client));
  }

  @AfterEach
  void close() {
    layer.preparedMasks().close();
    client.close();
  }

  private EncryptedEvaluator evaluator(byte[] circuit) {
    return EncryptedEvaluator.onExecutors(
        JavaSparkContext.fromSparkContext(spark.sparkContext()),
        List.of(new Circuit(circuit)),
        Map.of(),
        Map.of(),
        threads,
        measurements,
        ScoreProgress.SILENT);
  }

  /** Prepares masks of so many slots each. */
  private void prepare(int... slots) {
    try (EncryptedEvaluator evaluator = evaluator(circuit)) {
      evaluator.prepare(Arrays.stream(slots).mapToObj(s -> new MaskDemand(layer, s)).toList());
    }
  }

  private static Batch batch(Random random, int rows) {
    Tensor x = Tensor.allocate(ElementType.FLOAT, rows, INPUTS);
    for (int i = 0; i < x.elements(); i++) {
      x.data().asFloatBuffer().put(i, random.nextInt(255) - 127);
    }
    return new Batch(
        LongStream.range(0, rows).toArray(), Collections.nCopies(rows, (Row) null), Map.of("x", x));
  }

  private static void assertSums(Batch batch, Tensor x) {
    float[] sums = new float[batch.records()];
    for (int i = 0; i < sums.length * INPUTS; i++) {
      sums[i / INPUTS] += x.data().asFloatBuffer().get(i);
    }
    float[] found = new float[sums.length];
    batch.tensor("y").data().asFloatBuffer().get(found);
    assertArrayEquals(sums, found);
  }

  /** Which slots a block says it has, each with its mask's seed. */
  private static List<String> slots(ByteBuffer block, int rows) {
    byte[] seed = new byte[SEED_END - SEED];
    block.get(SEED, seed);
    int first = block.duplicate().order(ByteOrder.LITTLE_ENDIAN).getInt(FIRST_SLOT);
    List<String> slots = new ArrayList<>();
    for (int slot = first; slot < first + rows; slot++) {
      slots.add(HexFormat.of().formatHex(seed) + " " + slot);
    }
    return slots;
  }

  @Test
  void threadsThatEncryptAtOnceNeverShareASlot() {
    prepare(200, 150, 256);
    List<Future<List<String>>> taken = new ArrayList<>();
    ClientThreads many = new ClientThreads(4);
    for (int thread = 0; thread < 4; thread++) {
      int rows = 1 + 2 * thread;
      taken.add(
          many.submit(
              () -> {
                List<String> slots = new ArrayList<>();
                Tensor x = Tensor.allocate(ElementType.FLOAT, rows, INPUTS);
                InputRows inputs = InputRows.ofTable(x.data(), rows);
                try (EncryptedBlock block = EncryptedBlock.allocate(client.blockBytes(rows))) {
                  while (layer
                      .preparedMasks()
                      .encrypt(inputs, new float[rows], 0, block.bytes())
                      .isPresent()) {
                    slots.addAll(slots(block.bytes(), rows));
                  }
                }
                return slots;
              }));
    }
    List<String> all = new ArrayList<>();
    taken.forEach(each -> all.addAll(ClientThreads.await(each)));
    many.close();
    assertEquals(all.size(), new TreeSet<>(all).size(), "a slot was used twice");
    // Threads of one row leave none; what those of seven passed over is given up.
    assertEquals(0, layer.preparedMasks().slotsLeft());
    assertTrue(all.size() > 606 - 2 * 6 && all.size() <= 606, all.size() + " slots used");
    assertEquals(3, all.stream().map(slot -> slot.split(" ")[0]).distinct().count());
  }

  @Test
  void wavesInFlightTakeSlotsSideBySideAndEveryValueIsRight() {
    prepare(256, 256);
    Random random = new Random(1);
    List<List<Batch>> waves = new ArrayList<>();
    List<Batch> all = new ArrayList<>();
    List<Tensor> inputs = new ArrayList<>();
    int rows = 0;
    while (rows < 700) {
      Batch batch = batch(random, 1 + random.nextInt(40));
      rows += batch.records();
      waves.add(List.of(batch));
      all.add(batch);
      inputs.add(batch.tensor("x"));
    }
    try (EncryptedEvaluator evaluator = evaluator(circuit)) {
      Schedule schedule =
          new Schedule(
              Map.of(), List.of(layer), List.of("x", "y"), evaluator, threads, measurements);
      WavePipeline.through(schedule).run(waves.iterator(), wave -> {});
    }
    for (int i = 0; i < all.size(); i++) {
      assertSums(all.get(i), inputs.get(i));
    }
    long prepared = measurements.preparedRows.sum();
    // At most 39 are given up with the first mask, and no fewer than 1 too few with the second.
    assertTrue(prepared > 512 - 2 * 40 && prepared <= 512, prepared + " rows");
    assertTrue(prepared < rows);
  }

  @Test
  void aJobThatFailsLosesItsSlots() {
    prepare(100);
    // Executors that have another circuit refuse the blocks.
    byte[] other = PackedCircuit.encode(PARAMETERS, "n", INPUTS, 1, new byte[] {2, 1, 1});
    Batch lost = batch(new Random(2), 30);
    try (EncryptedEvaluator evaluator = evaluator(other)) {
      InvalidInputException error =
          assertThrows(
              InvalidInputException.class, () -> evaluator.evaluate(List.of(layer), List.of(lost)));
      assertTrue(error.getMessage().contains("not registered for this job"), error.getMessage());
    }
    assertEquals(70, layer.preparedMasks().slotsLeft());
    try (EncryptedEvaluator evaluator = evaluator(circuit)) {
      // The same rows again take slots of their own.
      for (Batch batch : List.of(batch(new Random(2), 30), batch(new Random(3), 40))) {
        evaluator.evaluate(List.of(layer), List.of(batch));
        assertSums(batch, batch.tensor("x"));
      }
    }
    assertEquals(0, layer.preparedMasks().slotsLeft());
    assertEquals(100, measurements.preparedRows.sum());
  }

  @Test
  void anOrderThatFailsLeavesNoMask() {
    byte[] other = PackedCircuit.encode(PARAMETERS, "n", INPUTS, 1, new byte[] {2, 1, 1});
    try (EncryptedEvaluator evaluator = evaluator(other)) {
      assertThrows(
          InvalidInputException.class, () -> evaluator.prepare(List.of(new MaskDemand(layer, 10))));
    }
    assertEquals(0, layer.preparedMasks().memoryBytes());
  }

  @Test
  void aBegunMaskIsGivenUpWhenTheNextCanTakeWhatItCannot() {
    prepare(10, 5, 100);
    PreparedMasks masks = layer.preparedMasks();
    long all = masks.memoryBytes();
    assertEquals(115, masks.unusedSlots());
    try (EncryptedEvaluator evaluator = evaluator(circuit)) {
      evaluator.evaluate(List.of(layer), List.of(batch(new Random(4), 8)));
      assertEquals(107, masks.slotsLeft());
      assertEquals(105, masks.unusedSlots());
      // Two left of the first mask: the second, which has not begun, is kept for smaller blocks.
      evaluator.evaluate(List.of(layer), List.of(batch(new Random(5), 20)));
      assertEquals(5 + 80, masks.slotsLeft());
      assertEquals(5, masks.unusedSlots());
      evaluator.evaluate(List.of(layer), List.of(batch(new Random(6), 3)));
      assertEquals(2 + 80, masks.slotsLeft());
    }
    assertEquals(all, masks.memoryBytes());
    masks.closeUsed();
    assertTrue(masks.memoryBytes() < all && masks.slotsLeft() == 82);
    masks.giveUpBegun();
    masks.closeUsed();
    assertEquals(0, masks.memoryBytes());
  }

  @Test
  void blocksOfWhichTheMaskIsTheLesserPartAreOrdinary() {
    // n = 1280 rows of four limbs, and bodies of four.
    assertTrue(layer.isMostlyMask(1) && layer.isMostlyMask(1279));
    assertEquals(false, layer.isMostlyMask(1280));
  }
}
