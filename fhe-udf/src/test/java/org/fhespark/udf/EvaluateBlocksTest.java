package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkException;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskContext$;
import org.apache.spark.TaskKilledException;
import org.apache.spark.api.java.JavaFutureAction;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.serializer.KryoSerializer;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class EvaluateBlocksTest {
  private static final int HEADER = 128;
  private static final int CIRCUIT = 8;
  private static final int KEY_ID = 40;
  private static final int COUNTS = 72;
  private static final int RECORDS = 84;
  private static final int BLOCK_NUMBER = 96;
  private static final int PAYLOAD_BYTES = 104;

  private static JavaSparkContext spark;
  private static Layer layer;

  @BeforeAll
  static void start() {
    spark =
        new JavaSparkContext(
            new SparkConf()
                .setMaster("local[2]")
                .setAppName("evaluate blocks")
                .set("spark.ui.enabled", "false")
                .set("spark.serializer", KryoSerializer.class.getName())
                .set("spark.kryo.registrator", FheKryoRegistrator.class.getName())
                .set("spark.kryo.registrationRequired", "true"));
    layer = Layer.random(6, 3, 1);
  }

  @AfterAll
  static void stop() {
    layer.close();
    spark.stop();
  }

  private static EvaluateBlocks evaluator(Layer... layers) {
    Map<String, Broadcast<Circuit>> circuits = new HashMap<>();
    for (Layer each : layers) {
      circuits.put(each.circuit().digest().hex(), spark.broadcast(each.circuit()));
    }
    return new EvaluateBlocks(circuits);
  }

  private static List<byte[]> evaluate(EvaluateBlocks evaluator, byte[]... blocks) {
    List<byte[]> results = new ArrayList<>();
    evaluator
        .call(Stream.of(blocks).map(EncryptedBlock::copyOf).iterator())
        .forEachRemaining(
            result -> {
              results.add(result.toByteArray());
              result.close();
            });
    return results;
  }

  /** The same on Spark. */
  private static JavaRDD<byte[]> evaluated(
      List<byte[]> blocks, int partitions, EvaluateBlocks evaluator) {
    return spark
        .parallelize(blocks, partitions)
        .map(EncryptedBlock::copyOf)
        .mapPartitions(evaluator)
        .map(EncryptedBlock::toByteArray);
  }

  private static String assertRefused(String what, Executable call) {
    InvalidInputException error = assertThrows(InvalidInputException.class, call, what);
    String message = error.getMessage();
    assertEquals(1, message.lines().count(), what + ": " + message);
    assertFalse(message.isBlank(), what);
    return message;
  }

  /** Makes the header's checksum right again, as somebody would who alters blocks on purpose. */
  private static byte[] sealed(byte[] block) {
    CRC32C payload = new CRC32C();
    payload.update(block, HEADER, block.length - HEADER);
    little(block).putInt(116, (int) payload.getValue());
    CRC32C head = new CRC32C();
    head.update(block, 0, HEADER - 4);
    little(block).putInt(HEADER - 4, (int) head.getValue());
    return block;
  }

  private static ByteBuffer little(byte[] block) {
    return ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static byte[] block() {
    return layer.encrypt(layer.records(70, 5), 9);
  }

  @Test
  void evaluatedBlocksDecryptToTheClearAccumulators() {
    for (int records : new int[] {1, 63, 64, 65, 256, 257, 512}) {
      ByteBuffer values = layer.records(records, records);
      byte[] result = evaluate(evaluator(layer), layer.encrypt(values, 3)).get(0);
      assertArrayEquals(
          layer.accumulate(values),
          layer.client().decryptAccumulators(result),
          records + " records");
    }
  }

  @Test
  void aSealedBlockIsTheBlockItWas() {
    byte[] block = block();
    assertArrayEquals(block, sealed(block.clone()), "the test seals blocks as the client does");
  }

  @Test
  void aBlockAlteredInAnyByteOfItsHeaderIsRefused() {
    byte[] block = block();
    EvaluateBlocks evaluator = evaluator(layer);
    Random random = new Random(1);
    for (int position = 0; position < HEADER; position++) {
      byte[] altered = block.clone();
      altered[position] ^= (byte) (1 + random.nextInt(255));
      assertRefused("byte " + position, () -> evaluate(evaluator, altered));
    }
  }

  @Test
  void aBlockAlteredInItsPayloadIsRefused() {
    byte[] block = block();
    EvaluateBlocks evaluator = evaluator(layer);
    Random random = new Random(2);
    Set<Integer> positions = new TreeSet<>(Set.of(HEADER, block.length - 1));
    while (positions.size() < 60) {
      positions.add(HEADER + random.nextInt(block.length - HEADER));
    }
    for (int position : positions) {
      byte[] altered = block.clone();
      altered[position] ^= (byte) (1 << random.nextInt(8));
      String message = assertRefused("byte " + position, () -> evaluate(evaluator, altered));
      assertTrue(message.contains("payload does not match its checksum"), message);
    }
  }

  @Test
  void aTruncatedBlockOfAnyLengthIsRefused() {
    byte[] block = block();
    EvaluateBlocks evaluator = evaluator(layer);
    Set<Integer> lengths = new TreeSet<>(Set.of(block.length - 1, block.length - 6, HEADER + 1));
    for (int length = 0; length <= HEADER; length++) {
      lengths.add(length);
    }
    for (int length : lengths) {
      byte[] cut = Arrays.copyOf(block, length);
      String message = assertRefused(length + " bytes", () -> evaluate(evaluator, cut));
      assertTrue(message.contains("truncated"), message);
    }
  }

  @Test
  void aBlockWithSomethingAfterItIsRefused() {
    byte[] longer = Arrays.copyOf(block(), block().length + 1);
    assertRefused("one byte more", () -> evaluate(evaluator(layer), longer));
    assertRefused("sealed again", () -> evaluate(evaluator(layer), sealed(longer)));
  }

  @Test
  void withTheChecksumMadeRightAgainOnlyKeySeedAndNumberCanBeAltered() {
    byte[] block = block();
    EvaluateBlocks evaluator = evaluator(layer);
    Set<Integer> accepted = new TreeSet<>();
    for (int position = 0; position < HEADER - 4; position++) {
      byte[] altered = block.clone();
      altered[position] ^= 0x41;
      sealed(altered);
      if (Arrays.equals(altered, block)) {
        continue; // The payload's checksum, which sealing sets.
      }
      try {
        assertEquals(1, evaluate(evaluator, altered).size());
        accepted.add(position);
      } catch (InvalidInputException refused) {
        assertEquals(1, refused.getMessage().lines().count(), refused.getMessage());
      }
    }
    Set<Integer> free = new TreeSet<>();
    for (int position = KEY_ID; position < COUNTS; position++) {
      free.add(position);
    }
    for (int position = BLOCK_NUMBER; position < PAYLOAD_BYTES; position++) {
      free.add(position);
    }
    assertEquals(free, accepted);
  }

  @Test
  void aSealedBlockOfNoRecordsIsRefused() {
    byte[] empty = Arrays.copyOf(block(), HEADER);
    little(empty).putInt(RECORDS, 0).putLong(PAYLOAD_BYTES, 0);
    assertRefused("no records", () -> evaluate(evaluator(layer), sealed(empty)));
  }

  @Test
  void sealedCountsThatPromiseMoreThanMemoryAreRefused() {
    for (int field = COUNTS; field < COUNTS + 20; field += 4) {
      for (int count : new int[] {-1, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
        byte[] huge = block();
        little(huge).putInt(field, count);
        assertRefused(field + " " + count, () -> evaluate(evaluator(layer), sealed(huge)));
      }
    }
  }

  @Test
  void moreRecordsThanTheCircuitTakesAreRefused() {
    PackedParameters more = new PackedParameters(5, 256, 4, 4, 4, 4, 18, 3);
    try (Layer wide = Layer.random(more, 6, 3, 1)) {
      byte[] block = wide.encrypt(wide.records(600, 1), 0);
      System.arraycopy(layer.circuit().digest().bytes(), 0, block, CIRCUIT, 32);
      assertRefused("600 records", () -> evaluate(evaluator(layer), sealed(block)));
    }
  }

  @Test
  void aBlockOfAnotherCircuitIsRefusedByItsDigest() {
    try (Layer other = Layer.random(6, 3, 2)) {
      byte[] foreign = other.encrypt(other.records(1, 1), 0);
      String message = assertRefused("foreign", () -> evaluate(evaluator(layer), block(), foreign));
      assertTrue(message.contains(other.circuit().digest().hex()), message);
      assertTrue(message.contains("not registered"), message);
    }
  }

  @Test
  void aBlockRelabelledAsAnotherCircuitsIsRefusedByItsShape() {
    try (Layer other = Layer.random(7, 3, 2)) {
      byte[] block = other.encrypt(other.records(1, 1), 0);
      System.arraycopy(layer.circuit().digest().bytes(), 0, block, CIRCUIT, 32);
      assertRefused("7 features for 6", () -> evaluate(evaluator(layer), sealed(block)));
    }
  }

  @Test
  void aResultIsNotEvaluatedAgain() {
    try (Layer square = Layer.random(4, 4, 4)) {
      EvaluateBlocks evaluator = evaluator(square);
      byte[] result = evaluate(evaluator, square.encrypt(square.records(2, 1), 0)).get(0);
      String message = assertRefused("a result", () -> evaluate(evaluator, result));
      assertTrue(message.contains("Activations"), message);
    }
  }

  @Test
  void blocksOfTwoCircuitsComeBackInTheOrderTheyWereSent() {
    try (Layer other = Layer.random(5, 2, 2)) {
      List<byte[]> blocks = new ArrayList<>();
      List<long[]> expected = new ArrayList<>();
      for (int number = 0; number < 9; number++) {
        Layer each = number % 3 == 1 ? other : layer;
        ByteBuffer records = each.records(1 + number, number);
        blocks.add(each.encrypt(records, number));
        expected.add(each.accumulate(records));
      }
      List<byte[]> results = evaluated(blocks, 2, evaluator(layer, other)).collect();
      for (int number = 0; number < blocks.size(); number++) {
        Layer each = number % 3 == 1 ? other : layer;
        assertArrayEquals(
            expected.get(number), each.client().decryptAccumulators(results.get(number)));
      }
      assertEquals(9, results.size());
    }
  }

  @Test
  void moreBytesThanOneCallTakesAreEvaluatedInSeveral() {
    // 512 features need the larger modulus for their noise.
    PackedParameters wide = new PackedParameters(6, 256, 5, 5, 4, 3, 18, 32);
    try (Layer big = Layer.random(wide, 512, 1, 3)) {
      List<byte[]> blocks = new ArrayList<>();
      List<long[]> expected = new ArrayList<>();
      long bytes = 0;
      while (bytes <= BlockBatch.MAX_BYTES) {
        ByteBuffer records = big.records(8192, bytes);
        blocks.add(big.encrypt(records, blocks.size()));
        expected.add(big.accumulate(records));
        bytes += blocks.get(blocks.size() - 1).length;
      }
      List<byte[]> results = evaluate(evaluator(big), blocks.toArray(byte[][]::new));
      for (int number = 0; number < blocks.size(); number++) {
        assertArrayEquals(
            expected.get(number), big.client().decryptAccumulators(results.get(number)));
      }
      assertEquals(blocks.size(), results.size());
    }
  }

  @Test
  void anyNumberOfThreadsGivesTheSameBytes() {
    try (Layer wide = Layer.random(70, 9, 4);
        PackedCircuit circuit = PackedCircuit.open(wide.circuit().file())) {
      for (int records : new int[] {1, 65, 512}) {
        byte[] block = wide.encrypt(wide.records(records, 1), 0);
        List<byte[]> results = new ArrayList<>();
        for (int threads : new int[] {1, 2, 3, 50}) {
          try (EncryptedBlock sent = EncryptedBlock.copyOf(block);
              EncryptedBlock result =
                  BlockBatch.evaluate(circuit::evaluate, List.of(sent), threads, () -> false)
                      .get(0)) {
            results.add(result.toByteArray());
          }
        }
        results.forEach(result -> assertArrayEquals(results.get(0), result));
      }
    }
  }

  @Test
  void anEvaluationStopsWhenItIsAskedTo() {
    try (Layer wide = Layer.random(64, 9, 4);
        PackedCircuit circuit = PackedCircuit.open(wide.circuit().file());
        EncryptedBlock sent = EncryptedBlock.copyOf(wide.encrypt(wide.records(512, 1), 0))) {
      for (int threads : new int[] {1, 3}) {
        AtomicInteger asked = new AtomicInteger();
        assertThrows(
            CancellationException.class,
            () ->
                BlockBatch.evaluate(
                    circuit::evaluate, List.of(sent), threads, () -> asked.incrementAndGet() == 3));
        assertEquals(3, asked.get());
        IllegalStateException failure = new IllegalStateException("from the supplier");
        assertEquals(
            failure,
            assertThrows(
                IllegalStateException.class,
                () ->
                    BlockBatch.evaluate(
                        circuit::evaluate,
                        List.of(sent),
                        threads,
                        () -> {
                          throw failure;
                        })));
      }
    }
  }

  @Test
  void anInterruptedTaskIsKilledBeforeItsNextPanel() {
    EvaluateBlocks evaluator = evaluator(layer);
    assertEquals(1, evaluate(evaluator, block()).size());
    TaskContext context = TaskContext$.MODULE$.empty();
    TaskContext$.MODULE$.setTaskContext(context);
    try {
      context.markInterrupted("for a test");
      assertThrows(TaskKilledException.class, () -> evaluate(evaluator, block()));
    } finally {
      TaskContext$.MODULE$.unset();
    }
  }

  @Test
  void aTaskThatIsKilledWhileItEvaluatesEnds() throws Exception {
    PackedParameters wide = new PackedParameters(6, 256, 5, 5, 4, 3, 10, 1);
    try (Layer big = Layer.random(wide, 2048, 20_000, 3)) {
      List<byte[]> blocks = List.of(big.encrypt(big.records(256, 1), 0));
      EvaluateBlocks evaluator = evaluator(big);
      RunningTasks tasks = new RunningTasks();
      spark.sc().addSparkListener(tasks);
      JavaFutureAction<List<byte[]>> job = evaluated(blocks, 1, evaluator).collectAsync();
      tasks.await(1);
      while (CircuitRegistry.shared().users(big.circuit()) == 0) {
        Thread.sleep(5);
      }
      job.cancel(true);
      long cancelled = System.nanoTime();
      assertThrows(CancellationException.class, job::get);
      tasks.await(0);
      Duration took = Duration.ofNanos(System.nanoTime() - cancelled);
      assertTrue(took.toSeconds() < 10, "the task ran on for " + took);
      spark.sc().removeSparkListener(tasks);
    }
  }

  /** Counts tasks that have started and not ended. */
  private static final class RunningTasks extends SparkListener {
    private final AtomicInteger running = new AtomicInteger();

    @Override
    public void onTaskStart(SparkListenerTaskStart start) {
      running.incrementAndGet();
    }

    @Override
    public void onTaskEnd(SparkListenerTaskEnd end) {
      running.decrementAndGet();
    }

    void await(int count) throws InterruptedException {
      long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
      while (running.get() != count) {
        assertTrue(System.nanoTime() < deadline, running.get() + " tasks run, not " + count);
        Thread.sleep(5);
      }
    }
  }

  @Test
  void aPartitionWithoutBlocksGivesNone() {
    assertEquals(1, evaluated(List.of(block()), 3, evaluator(layer)).count());
  }

  @Test
  void aJobWithADamagedBlockFailsWithTheReasonAsItsCause() {
    byte[] damaged = block();
    damaged[HEADER + 17] ^= 1;
    SparkException failure =
        assertThrows(
            SparkException.class,
            () -> evaluated(List.of(block(), damaged), 2, evaluator(layer)).collect());
    Throwable cause = failure;
    while (cause != null && !(cause instanceof InvalidInputException)) {
      cause = cause.getCause();
    }
    assertTrue(cause != null, () -> "no InvalidInputException below " + failure);
    assertEquals(1, cause.getMessage().lines().count(), cause.getMessage());
    assertTrue(cause.getMessage().contains("payload"), cause.getMessage());
  }

  @Test
  void aDamagedBroadcastCircuitIsRefused() {
    byte[] block = block();
    byte[] file = layer.circuit().file().clone();
    file[file.length - 7] ^= 1;
    EvaluateBlocks evaluator =
        new EvaluateBlocks(
            Map.of(layer.circuit().digest().hex(), spark.broadcast(new Circuit(file))));
    assertRefused("damaged circuit", () -> evaluate(evaluator, block));
  }

  @Test
  void aCircuitRegisteredUnderAnothersDigestDoesNotEvaluateItsBlocks() {
    try (Layer other = Layer.random(6, 3, 2)) {
      EvaluateBlocks confused =
          new EvaluateBlocks(
              Map.of(layer.circuit().digest().hex(), spark.broadcast(other.circuit())));
      assertRefused("confused registry", () -> evaluate(confused, block()));
    }
  }
}
