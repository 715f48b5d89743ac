package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.arrow.memory.util.MemoryUtil;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.serializer.JavaSerializer;
import org.apache.spark.serializer.KryoSerializer;
import org.apache.spark.serializer.SerializerInstance;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;

class EncryptedBlockTest {
  private static final ClassTag<EncryptedBlock> BLOCK =
      ClassTag$.MODULE$.apply(EncryptedBlock.class);

  enum Serializer {
    JAVA,
    KRYO;

    SerializerInstance instance() {
      SparkConf conf =
          new SparkConf()
              .set("spark.kryo.registrator", FheKryoRegistrator.class.getName())
              .set("spark.kryo.registrationRequired", "true");
      return this == JAVA
          ? new JavaSerializer(conf).newInstance()
          : new KryoSerializer(conf).newInstance();
    }
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  private static long address(EncryptedBlock block) {
    return MemoryUtil.getByteBufferAddress(block.bytes());
  }

  @ParameterizedTest
  @EnumSource(Serializer.class)
  void theBytesTravelWhereTheReaderIsAnotherProcess(Serializer serializer) {
    SerializerInstance instance = serializer.instance();
    for (int length : new int[] {0, 1, 128, 1 << 15, (1 << 15) + 1, 1_000_003}) {
      byte[] bytes = random(length);
      try (EncryptedBlock block = EncryptedBlock.copyOf(bytes)) {
        ByteBuffer sent = instance.serialize(block, BLOCK);
        assertTrue(sent.remaining() > length);
        try (EncryptedBlock copy = instance.deserialize(sent, BLOCK)) {
          assertArrayEquals(bytes, copy.toByteArray());
        }
        assertArrayEquals(bytes, block.toByteArray(), "the sender's stays");
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"local", "local[2]", "local[*]"})
  void aTicketTravelsWhereTheReaderIsThisProcess(String master) {
    SparkContext spark =
        new SparkContext(
            new SparkConf()
                .setMaster(master)
                .setAppName("handover")
                .set("spark.ui.enabled", "false"));
    try {
      for (Serializer serializer : Serializer.values()) {
        SerializerInstance instance = serializer.instance();
        byte[] bytes = random(100_000);
        EncryptedBlock block = EncryptedBlock.copyOf(bytes);
        ByteBuffer sent = instance.serialize(block, BLOCK);
        assertTrue(sent.remaining() < 1000, serializer + ": " + sent.remaining() + " bytes");
        // Twice, as a task that is tried again.
        for (int attempt = 0; attempt < 2; attempt++) {
          try (EncryptedBlock received = instance.deserialize(sent.duplicate(), BLOCK)) {
            assertEquals(address(block), address(received));
          }
        }
        EncryptedBlock late = instance.deserialize(sent.duplicate(), BLOCK);
        block.close();
        assertArrayEquals(bytes, late.toByteArray(), "open until the last closes it");
        late.close();
        String message =
            assertThrows(
                    InvalidInputException.class,
                    () -> instance.deserialize(sent.duplicate(), BLOCK))
                .getMessage();
        assertTrue(message.contains("no longer"), message);
        assertEquals(0, LocalHandover.shared().size());
      }
    } finally {
      spark.stop();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aResultIsSentOnceAndReleasedOnce(boolean isLocal) throws InterruptedException {
    SparkContext spark =
        isLocal
            ? new SparkContext(
                new SparkConf()
                    .setMaster("local")
                    .setAppName("results")
                    .set("spark.ui.enabled", "false"))
            : null;
    try {
      SerializerInstance instance = Serializer.KRYO.instance();
      byte[] bytes = random(4096);
      ByteBuffer memory = ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
      AtomicInteger releases = new AtomicInteger();
      EncryptedBlock result = EncryptedBlock.result(memory, releases::incrementAndGet);
      ByteBuffer sent = instance.serialize(result, BLOCK);
      EncryptedBlock closed = result;
      assertThrows(IllegalStateException.class, closed::bytes);
      assertThrows(IllegalStateException.class, () -> instance.serialize(closed, BLOCK));
      assertEquals(isLocal ? 0 : 1, releases.get());
      result = null;
      // What the sender has lost, the receiver may still use.
      System.gc();
      Thread.sleep(50);
      assertEquals(isLocal ? 0 : 1, releases.get());
      try (EncryptedBlock received = instance.deserialize(sent, BLOCK)) {
        assertArrayEquals(bytes, received.toByteArray());
      }
      assertEquals(1, releases.get());
    } finally {
      if (spark != null) {
        spark.stop();
      }
    }
  }

  @Test
  void memoryOfAResultThatIsLostIsReleasedAndNotBefore() throws InterruptedException {
    AtomicInteger releases = new AtomicInteger();
    EncryptedBlock result =
        EncryptedBlock.result(ByteBuffer.allocateDirect(10), releases::incrementAndGet);
    System.gc();
    Thread.sleep(50);
    assertEquals(0, releases.get());
    assertEquals(10, result.length());
    result = null;
    for (int attempt = 0; attempt < 200 && releases.get() == 0; attempt++) {
      System.gc();
      Thread.sleep(20);
    }
    assertEquals(1, releases.get());
  }

  @Test
  void closedMemoryServesTheNextBlockAndNoOther() {
    EncryptedBlock first = EncryptedBlock.allocate(1 << 20);
    long address = address(first);
    first.close();
    first.close();
    assertThrows(IllegalStateException.class, first::bytes);
    EncryptedBlock second = EncryptedBlock.allocate((1 << 20) - 3);
    assertEquals(address, address(second));
    assertEquals((1 << 20) - 3, second.length());
    EncryptedBlock third = EncryptedBlock.allocate(1 << 20);
    assertNotEquals(address, address(third));
    second.close();
    third.close();
  }
}
