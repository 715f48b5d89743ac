package org.fhespark.nativelib;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class ModuleClientTest {
  private static void assertRefused(String part, Executable call) {
    InvalidInputException error = assertThrows(InvalidInputException.class, call);
    assertTrue(error.getMessage().contains(part), error.getMessage());
  }

  @Test
  void theClearLayerNeedsNoKeyAndDequantisesPerRecord() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ModuleClient client = ModuleClient.withoutKey(layer.spec());
        PackedCircuit circuit = PackedCircuit.open(layer.circuitFile())) {
      float[] scales = new float[2];
      int[] integers = client.quantize(TestLayer.floats(1, 2, 3, -8, 4, 0), scales);
      assertArrayEquals(new int[] {42, 85, 127, -127, 64, 0}, integers);
      long[] accumulators = circuit.accumulate(integers);
      ByteBuffer outputs = TestLayer.floats(new float[4]);
      client.dequantize(accumulators, scales, outputs);
      for (int record = 0; record < 2; record++) {
        for (int j = 0; j < 2; j++) {
          double expected = accumulators[2 * record + j] * scales[record] * 0.01 * (j + 1) + j;
          assertEquals(expected, outputs.getFloat(4 * (2 * record + j)), 1e-4 * Math.abs(expected));
        }
      }
    }
  }

  @Test
  void simulationNeedsNoKeyAndEqualsTheClearLayerWhereParametersDecryptRight() {
    try (TestLayer layer = TestLayer.random(8, 40, 1);
        ModuleClient client = ModuleClient.withoutKey(layer.spec());
        PackedCircuit circuit = PackedCircuit.open(layer.circuitFile())) {
      int[] integers = new int[8 * 130];
      for (int i = 0; i < integers.length; i++) {
        integers[i] = i % 15 - 7;
      }
      assertArrayEquals(circuit.accumulate(integers), client.simulate(circuit, integers));
      assertRefused("whole records", () -> client.simulate(circuit, new int[9]));
    }
  }

  @Test
  void simulationRefusesTheCircuitOfAnotherModule() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        TestLayer other = TestLayer.random(3, 2, 2);
        ModuleClient client = ModuleClient.withoutKey(layer.spec());
        PackedCircuit circuit = PackedCircuit.open(other.circuitFile())) {
      assertRefused("not of the circuit", () -> client.simulate(circuit, new int[3]));
    }
  }

  @Test
  void aModuleWithoutAKeyCannotEncrypt() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ModuleClient client = ModuleClient.withoutKey(layer.spec())) {
      assertRefused(
          "without a client key", () -> client.encrypt(TestLayer.floats(1, 2, 3), new float[1], 0));
    }
  }

  @Test
  void aNanIsRefusedByRecordAndFeature() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ModuleClient client = ModuleClient.withKey(layer.spec(), layer.key())) {
      assertRefused(
          "record 1: feature 2",
          () -> client.encrypt(TestLayer.floats(1, 2, 3, 4, 5, Float.NaN), new float[2], 0));
    }
  }

  @Test
  void aBufferThatIsTooSmallIsAnErrorAndNotARead() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ModuleClient client = ModuleClient.withKey(layer.spec(), layer.key())) {
      assertThrows(
          NativeFaultException.class,
          () -> client.encrypt(TestLayer.floats(1, 2, 3), new float[2], 0));
    }
  }

  @Test
  void aForeignKeyHoldsNoKeyForTheModule() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ClientKey other =
            ClientKey.generate(
                new byte[32], java.util.List.of(new SecretKeyShape(10, 128, 4, 1)))) {
      assertRefused("no secret key for k = 20", () -> ModuleClient.withKey(layer.spec(), other));
    }
  }

  @Test
  void aBlockIsNotAResult() {
    try (TestLayer layer = TestLayer.random(3, 2, 1);
        ModuleClient client = ModuleClient.withKey(layer.spec(), layer.key())) {
      byte[] block = client.encrypt(TestLayer.floats(1, 2, 3), new float[1], 0);
      assertRefused("expected Results", () -> client.decryptAccumulators(block));
    }
  }
}
