package org.fhespark.nativelib;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.NotSerializableException;
import java.io.ObjectOutputStream;
import java.nio.ByteBuffer;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.Test;

class PreparedMaskTest {
  private static MaskOrder order(ModuleClient client, int slots) {
    return client.orderMask(slots, 5, ByteBuffer.allocateDirect(MaskOrder.BLOCK_BYTES));
  }

  @Test
  void anOrderIsUsedUpByPreparationEvenIfThatFails() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ModuleClient client = ModuleClient.withKey(layer.spec(), layer.key());
        MaskOrder order = order(client, 10)) {
      ByteBuffer noResults = ByteBuffer.allocateDirect(MaskOrder.BLOCK_BYTES);
      assertThrows(InvalidInputException.class, () -> order.prepare(noResults, 1));
      IllegalStateException error =
          assertThrows(IllegalStateException.class, () -> order.prepare(noResults, 1));
      assertEquals("this mask order is closed", error.getMessage());
    }
  }

  @Test
  void anOrderIsNotItsOwnAnswer() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ModuleClient client = ModuleClient.withKey(layer.spec(), layer.key())) {
      ByteBuffer block = ByteBuffer.allocateDirect(MaskOrder.BLOCK_BYTES);
      MaskOrder order = client.orderMask(10, 5, block);
      InvalidInputException error =
          assertThrows(InvalidInputException.class, () -> order.prepare(block, 1));
      assertTrue(error.getMessage().contains("expected MaskResults"), error.getMessage());
    }
  }

  @Test
  void ordersOutOfRangeAreRefusedAndClosedOnesHoldNothing() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ModuleClient client = ModuleClient.withKey(layer.spec(), layer.key());
        ModuleClient keyless = ModuleClient.withoutKey(layer.spec())) {
      assertThrows(InvalidInputException.class, () -> order(client, 0));
      assertThrows(InvalidInputException.class, () -> order(client, -1));
      assertThrows(InvalidInputException.class, () -> order(client, 129));
      assertThrows(InvalidInputException.class, () -> order(keyless, 1));
      long before = NativeLibrary.openHandles();
      MaskOrder order = order(client, 128);
      assertEquals(before + 1, NativeLibrary.openHandles());
      order.close();
      order.close();
      assertEquals(before, NativeLibrary.openHandles());
    }
  }

  @Test
  void noSerialiserGetsAnOrder() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ModuleClient client = ModuleClient.withKey(layer.spec(), layer.key());
        MaskOrder order = order(client, 1)) {
      assertThrows(
          NotSerializableException.class,
          () -> new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(order));
    }
  }
}
