package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.NotSerializableException;
import java.io.ObjectOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.serializer.KryoSerializer;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.MaskOrder;
import org.fhespark.nativelib.NativeLibrary;
import org.fhespark.nativelib.PreparedMask;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Masks that executors multiply before there are records. */
class PreparedMaskTest {
  private static JavaSparkContext spark;
  private static Layer layer;
  private static Layer otherLayer;
  private static EvaluateBlocks evaluation;

  @BeforeAll
  static void start() {
    spark =
        new JavaSparkContext(
            new SparkConf()
                .setMaster("local[2]")
                .setAppName("prepared masks")
                .set("spark.ui.enabled", "false")
                .set("spark.serializer", KryoSerializer.class.getName())
                .set("spark.kryo.registrator", FheKryoRegistrator.class.getName())
                .set("spark.kryo.registrationRequired", "true"));
    layer = Layer.random(6, 3, 1);
    otherLayer = Layer.random(5, 4, 2);
    Map<String, Broadcast<Circuit>> circuits = new HashMap<>();
    for (Layer each : List.of(layer, otherLayer)) {
      circuits.put(each.circuit().digest().hex(), spark.broadcast(each.circuit()));
    }
    evaluation = new EvaluateBlocks(circuits);
  }

  @AfterAll
  static void stop() {
    layer.close();
    otherLayer.close();
    spark.stop();
  }

  /** By tasks of Spark, in this JVM: blocks are handed over. */
  private static List<EncryptedBlock> evaluate(List<EncryptedBlock> blocks) {
    try {
      return new EvaluationRdd(spark.sc(), blocks, evaluation).toJavaRDD().collect();
    } finally {
      blocks.forEach(EncryptedBlock::close);
    }
  }

  private static PreparedMask prepare(Layer layer, int slots) {
    EncryptedBlock block = EncryptedBlock.allocate(MaskOrder.BLOCK_BYTES);
    MaskOrder order = layer.client().orderMask(slots, 7, block.bytes());
    try (EncryptedBlock results = evaluate(List.of(block)).get(0)) {
      return order.prepare(results.bytes(), 2);
    }
  }

  private static ByteBuffer outputs(Layer layer, int records) {
    return ByteBuffer.allocateDirect(Float.BYTES * records * layer.spec().outputs())
        .order(ByteOrder.nativeOrder());
  }

  private static ByteBuffer clear(Layer layer, ByteBuffer records, float[] scales) {
    ByteBuffer expected = outputs(layer, scales.length);
    layer.client().dequantize(layer.accumulate(records), scales, expected);
    return expected;
  }

  /** Encrypts, evaluates and decrypts records of one request. */
  private static ByteBuffer score(Layer layer, PreparedMask mask, ByteBuffer records, long number) {
    int count = records.limit() / (Float.BYTES * layer.spec().inputs());
    float[] scales = new float[count];
    EncryptedBlock block = EncryptedBlock.allocate(layer.client().blockBytes(count));
    OptionalInt firstSlot = mask.encrypt(records, scales, number, block.bytes());
    try (EncryptedBlock results = evaluate(List.of(block)).get(0)) {
      ByteBuffer outputs = outputs(layer, count);
      mask.decrypt(results.bytes(), number, firstSlot.getAsInt(), scales, outputs);
      assertEquals(clear(layer, records, scales), outputs, "request " + number);
      return outputs;
    }
  }

  @Test
  void requestsUnderOneMaskDecryptToTheClearLayerUntilItIsUsedUp() {
    try (PreparedMask mask = prepare(layer, 200)) {
      long bytes = mask.memoryBytes();
      assertTrue(bytes >= 200 * (6 * 4 + 3 * 4), bytes + " bytes");
      int left = 200;
      for (int count : new int[] {1, 3, 64, 1, 100, 30}) {
        score(layer, mask, layer.records(count, count), count);
        left -= count;
        assertEquals(left, mask.slotsLeft());
      }
      EncryptedBlock block = EncryptedBlock.allocate(layer.client().blockBytes(2));
      OptionalInt slot = mask.encrypt(layer.records(2, 9), new float[2], 1, block.bytes());
      assertEquals(OptionalInt.empty(), slot);
      assertEquals(1, mask.slotsLeft());
      score(layer, mask, layer.records(1, 10), 8);
      block.close();
    }
  }

  @Test
  void ordersBodiesAndActivationsOfSeveralLayersShareATask() {
    try (PreparedMask mask = prepare(layer, 10)) {
      List<EncryptedBlock> blocks = new ArrayList<>();
      List<MaskOrder> orders = new ArrayList<>();
      for (Layer each : List.of(layer, layer, otherLayer)) {
        EncryptedBlock block = EncryptedBlock.allocate(MaskOrder.BLOCK_BYTES);
        orders.add(each.client().orderMask(3, 7, block.bytes()));
        blocks.add(block);
      }
      ByteBuffer records = layer.records(4, 3);
      float[] scales = new float[4];
      EncryptedBlock bodies = EncryptedBlock.allocate(layer.client().blockBytes(4));
      int firstSlot = mask.encrypt(records, scales, 2, bodies.bytes()).getAsInt();
      blocks.add(1, bodies);
      blocks.add(2, EncryptedBlock.copyOf(layer.encrypt(records, 4)));
      List<EncryptedBlock> results = new ArrayList<>();
      evaluation.call(blocks.iterator()).forEachRemaining(results::add);

      ByteBuffer outputs = outputs(layer, 4);
      mask.decrypt(results.get(1).bytes(), 2, firstSlot, scales, outputs);
      assertEquals(clear(layer, records, scales), outputs);
      ByteBuffer ordinary = outputs(layer, 4);
      layer.client().decrypt(results.get(2).bytes(), 4, scales, 1, ordinary);
      assertEquals(outputs, ordinary);
      // A seed is answered for itself alone.
      MaskOrder first = orders.get(0);
      assertThrows(InvalidInputException.class, () -> first.prepare(results.get(3).bytes(), 1));
      try (PreparedMask second = orders.get(1).prepare(results.get(3).bytes(), 1);
          PreparedMask other = orders.get(2).prepare(results.get(4).bytes(), 1)) {
        score(layer, second, layer.records(3, 1), 1);
        score(otherLayer, other, otherLayer.records(3, 1), 1);
      }
      results.forEach(EncryptedBlock::close);
    }
  }

  @Test
  void aBlockThatIsEvaluatedTwiceGivesTheSameResults() {
    try (PreparedMask mask = prepare(layer, 10)) {
      byte[] block = new byte[layer.client().blockBytes(3)];
      EncryptedBlock bodies = EncryptedBlock.allocate(block.length);
      mask.encrypt(layer.records(3, 3), new float[3], 2, bodies.bytes());
      bodies.bytes().get(block);
      List<EncryptedBlock> results = evaluate(List.of(EncryptedBlock.copyOf(block), bodies));
      assertEquals(results.get(0).bytes(), results.get(1).bytes());
      results.forEach(EncryptedBlock::close);
    }
  }

  @Test
  void theMemoryOfALostMaskAndOrderIsFreed() throws InterruptedException {
    // With the circuit, which this JVM keeps for a while.
    prepare(layer, 1).close();
    long before = NativeLibrary.openHandles();
    int lost = 0;
    for (int i = 0; i < 5; i++) {
      lose();
      lost += 2;
    }
    long deadline = System.nanoTime() + 30_000_000_000L;
    while (NativeLibrary.openHandles() > before) {
      assertTrue(System.nanoTime() < deadline, "of " + lost + " lost handles some are still open");
      System.gc();
      Thread.sleep(10);
    }
  }

  private static void lose() {
    assertEquals(2, prepare(layer, 2).slotsLeft());
    try (EncryptedBlock block = EncryptedBlock.allocate(MaskOrder.BLOCK_BYTES)) {
      layer.client().orderMask(1, 0, block.bytes());
    }
  }

  @Test
  void aClosedMaskSaysSoAndNoSerialiserGetsAnOpenOne() {
    PreparedMask mask = prepare(layer, 2);
    NotSerializableException refusal =
        assertThrows(
            NotSerializableException.class,
            () -> new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(mask));
    assertEquals(PreparedMask.REFUSAL, refusal.getMessage());
    mask.close();
    mask.close();
    IllegalStateException error = assertThrows(IllegalStateException.class, mask::slotsLeft);
    assertEquals("this prepared mask is closed", error.getMessage());
    try (EncryptedBlock block = EncryptedBlock.allocate(layer.client().blockBytes(1))) {
      assertThrows(
          IllegalStateException.class,
          () -> mask.encrypt(layer.records(1, 1), new float[1], 0, block.bytes()));
    }
  }
}
