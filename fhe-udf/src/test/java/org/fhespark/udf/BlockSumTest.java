package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.BlockSum;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;
import org.junit.jupiter.api.Test;

class BlockSumTest {
  private static final int SUMMANDS = 4;
  private static final float SCALE = 0.25f;
  private static final PackedParameters PARAMETERS =
      new PackedParameters(22, 64, 4, 4, 4, 3, 15, 2, SUMMANDS);
  private static final byte[] WEIGHTS = {1, -2, 3, 5, 7, -11};
  private static final byte[] FILE = PackedCircuit.encode(PARAMETERS, "fc", 3, 2, WEIGHTS);

  private static ModuleSpec spec(Quantization quantization) {
    return new ModuleSpec(
        CircuitDigest.of(FILE),
        PARAMETERS,
        3,
        2,
        WeightNorms.of(WEIGHTS, 3, 2),
        quantization,
        new float[] {1f, 1f},
        new float[] {100f, -1f});
  }

  @Test
  void sumsOfResultsDecryptExactlyAndOneTooManyIsRefused() {
    try (ClientKey key = ClientKey.generate(new byte[32], List.of(PARAMETERS.secretKeyShape()));
        PackedCircuit circuit = PackedCircuit.open(FILE);
        ModuleClient client = ModuleClient.withKey(spec(new Quantization(8, SCALE)), key)) {
      assertEquals(PARAMETERS, circuit.parameters());
      long[] expected = new long[4];
      byte[] sum = null;
      byte[] last = null;
      for (int number = 0; number < SUMMANDS; number++) {
        // 4 · 127 is far beyond the range.
        ByteBuffer records = floats(1f + number, -2f, 3f, 400f, 5f, -6f * number);
        long[] accumulators = circuit.accumulate(client.quantize(records, new float[2]));
        for (int i = 0; i < 4; i++) {
          expected[i] += accumulators[i];
        }
        last = evaluate(circuit, client.encrypt(records, new float[2], number));
        if (sum == null) {
          sum = BlockSum.of(last);
        } else {
          BlockSum.add(sum, last);
        }
      }
      assertArrayEquals(expected, client.decryptSumAccumulators(sum));

      ByteBuffer outputs = floats(0, 0, 0, 0);
      client.decryptSums(sum, new long[] {4, 3}, 1, outputs);
      for (int i = 0; i < 4; i++) {
        float bias = (i < 2 ? 4 : 3) * (i % 2 == 0 ? 100f : -1f);
        assertEquals(expected[i] * SCALE + bias, outputs.getFloat(4 * i));
      }

      byte[] full = sum;
      byte[] more = last;
      assertRefused("sum of 5 results would exceed the 4", () -> BlockSum.add(full, more));
      assertArrayEquals(expected, client.decryptSumAccumulators(full));
      assertRefused("to itself", () -> BlockSum.add(full, full));
      assertRefused("truncated", () -> BlockSum.of(new byte[3]));
      assertRefused("2 slots", () -> client.decryptSums(full, new long[1], 1, floats(0, 0)));
    }
  }

  @Test
  void aModuleWhoseSumsCouldWrapIsNotOpened() {
    for (Quantization unfit : List.of(new Quantization(8, 0f), new Quantization(16, SCALE))) {
      assertRefused("sums of 4 results", () -> ModuleClient.withoutKey(spec(unfit)));
    }
  }

  private static void assertRefused(String part, org.junit.jupiter.api.function.Executable call) {
    String message = assertThrows(InvalidInputException.class, call).getMessage();
    assertTrue(message.contains(part), message);
  }

  private static byte[] evaluate(PackedCircuit circuit, byte[] block) {
    byte[][] result = new byte[1][];
    BlockBatch.evaluate(circuit::evaluate, List.of(EncryptedBlock.copyOf(block)), 1, () -> false)
        .forEach(
            each -> {
              result[0] = each.toByteArray();
              each.close();
            });
    return result[0];
  }

  private static ByteBuffer floats(float... values) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(4 * values.length).order(ByteOrder.nativeOrder());
    buffer.asFloatBuffer().put(values);
    return buffer;
  }
}
