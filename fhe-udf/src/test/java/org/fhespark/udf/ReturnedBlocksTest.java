package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedCircuit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What a client does with results that are not the ones it waits for. */
class ReturnedBlocksTest {
  private static final int HEADER = 128;
  private static final int RECORDS = 70;
  private static final int NUMBER = 9;

  private static Layer layer;
  private static byte[] result;
  private static float[] scales;

  @BeforeAll
  static void evaluateOneBlock() {
    layer = Layer.random(6, 3, 1);
    scales = new float[RECORDS];
    byte[] block = layer.client().encrypt(layer.records(RECORDS, 5), scales, NUMBER);
    result = evaluate(block);
  }

  @AfterAll
  static void close() {
    layer.close();
  }

  private static byte[] evaluate(byte[] block) {
    try (PackedCircuit circuit = PackedCircuit.open(layer.circuit().file());
        EncryptedBlock sent = EncryptedBlock.copyOf(block);
        EncryptedBlock result =
            BlockBatch.evaluate(circuit::evaluate, List.of(sent), 1, () -> false).get(0)) {
      return result.toByteArray();
    }
  }

  private static ByteBuffer decrypt(ModuleClient client, byte[] block) {
    ByteBuffer outputs = ByteBuffer.allocateDirect(4 * RECORDS * 3).order(ByteOrder.nativeOrder());
    client.decrypt(block, NUMBER, scales, outputs);
    return outputs;
  }

  private static String assertRefused(String what, Executable call) {
    InvalidInputException error = assertThrows(InvalidInputException.class, call, what);
    assertEquals(1, error.getMessage().lines().count(), error.getMessage());
    return error.getMessage();
  }

  @Test
  void theResultThatIsWaitedForIsAccepted() {
    ByteBuffer outputs = decrypt(layer.client(), result);
    float largest = 0;
    while (outputs.hasRemaining()) {
      largest = Math.max(largest, Math.abs(outputs.getFloat()));
    }
    assertTrue(largest > 0);
  }

  @Test
  void aResultAlteredInAnyByteOfItsHeaderIsRefused() {
    Random random = new Random(1);
    for (int position = 0; position < HEADER; position++) {
      byte[] altered = result.clone();
      altered[position] ^= (byte) (1 + random.nextInt(255));
      assertRefused("byte " + position, () -> decrypt(layer.client(), altered));
    }
  }

  @Test
  void aResultAlteredInItsPayloadIsRefused() {
    Random random = new Random(2);
    for (int i = 0; i < 60; i++) {
      int position = HEADER + random.nextInt(result.length - HEADER);
      byte[] altered = result.clone();
      altered[position] ^= (byte) (1 << random.nextInt(8));
      assertRefused("byte " + position, () -> decrypt(layer.client(), altered));
    }
  }

  @Test
  void aTruncatedOrEmptyResultIsRefused() {
    for (int length : new int[] {0, 1, 39, 40, HEADER - 1, HEADER, result.length - 1}) {
      String message =
          assertRefused(
              length + " bytes", () -> decrypt(layer.client(), Arrays.copyOf(result, length)));
      assertTrue(message.contains("truncated"), message);
    }
  }

  @Test
  void theResultOfAnotherBlockIsRefusedByItsNumber() {
    byte[] other =
        evaluate(layer.client().encrypt(layer.records(RECORDS, 6), new float[RECORDS], 4));
    String message = assertRefused("block 4", () -> decrypt(layer.client(), other));
    assertTrue(message.contains("block 4") && message.contains("block " + NUMBER), message);
  }

  @Test
  void aResultOfAnotherNumberOfRecordsIsRefused() {
    byte[] shorter = evaluate(layer.client().encrypt(layer.records(3, 6), new float[3], NUMBER));
    String message = assertRefused("3 records", () -> decrypt(layer.client(), shorter));
    assertTrue(message.contains("3") && message.contains("70"), message);
  }

  @Test
  void aResultUnderAnotherKeyIsRefusedByTheKeysName() {
    try (ClientKey other =
            ClientKey.generate(new byte[32], List.of(Layer.PARAMETERS.secretKeyShape()));
        ModuleClient stranger = ModuleClient.withKey(layer.spec(), other)) {
      String message = assertRefused("another key", () -> decrypt(stranger, result));
      assertTrue(message.contains(layer.key().id().substring(0, 8)), message);
      assertTrue(message.contains(other.id().substring(0, 8)), message);
    }
  }

  @Test
  void aResultOfAnotherCircuitIsRefused() {
    try (Layer other = Layer.random(6, 3, 2);
        ModuleClient confused = ModuleClient.withKey(other.spec(), layer.key())) {
      assertRefused("another circuit", () -> decrypt(confused, result));
    }
  }

  @Test
  void theBlockThatWasSentIsNoResult() {
    byte[] sent = layer.client().encrypt(layer.records(RECORDS, 5), scales.clone(), NUMBER);
    String message = assertRefused("an echo", () -> decrypt(layer.client(), sent));
    assertTrue(message.contains("Results"), message);
  }

  @Test
  void theSameRecordsAreNeverEncryptedAlike() {
    ByteBuffer records = layer.records(1, 1);
    List<String> seeds = new ArrayList<>();
    for (int i = 0; i < 2000; i++) {
      byte[] block = layer.encrypt(records, 0);
      seeds.add(HexFormat.of().formatHex(block, 56, 72));
    }
    assertEquals(2000, seeds.stream().distinct().count());
  }
}
