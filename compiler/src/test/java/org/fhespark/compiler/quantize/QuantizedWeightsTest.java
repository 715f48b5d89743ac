package org.fhespark.compiler.quantize;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.WeightNorms;

class QuantizedWeightsTest {
  record Matrix(float[] values, int dIn, int dOut) {}

  @Provide
  Arbitrary<Matrix> matrices() {
    Arbitrary<Float> weights =
        Arbitraries.frequencyOf(
            net.jqwik.api.Tuple.of(4, Arbitraries.floats().between(-2f, 2f)),
            net.jqwik.api.Tuple.of(1, Arbitraries.just(0f)),
            net.jqwik.api.Tuple.of(1, Arbitraries.floats()));
    return Combinators.combine(
            Arbitraries.integers().between(1, 9), Arbitraries.integers().between(1, 7))
        .flatAs(
            (dIn, dOut) ->
                weights
                    .array(float[].class)
                    .ofSize(dIn * dOut)
                    .map(values -> new Matrix(values, dIn, dOut)));
  }

  @Property
  void everyWeightIsWithinHalfAStepOfItsIntegerTimesTheScale(
      @ForAll("matrices") Matrix matrix, @ForAll @IntRange(min = 2, max = 8) int bits) {
    QuantizedWeights quantized =
        QuantizedWeights.quantize("m", matrix.values, matrix.dIn, matrix.dOut, bits);
    for (int j = 0; j < matrix.dOut; j++) {
      double scale = quantized.scales()[j];
      assertTrue(scale > 0);
      for (int i = 0; i < matrix.dIn; i++) {
        int at = j * matrix.dIn + i;
        double error = Math.abs(quantized.values()[at] * scale - matrix.values[at]);
        assertTrue(error <= scale * 0.5000001, error + " at scale " + scale);
      }
    }
  }

  @Property
  void integersAreSymmetricAndEveryChannelOfSomeSizeReachesTheLargest(
      @ForAll("matrices") Matrix matrix, @ForAll @IntRange(min = 2, max = 8) int bits) {
    QuantizedWeights quantized =
        QuantizedWeights.quantize("m", matrix.values, matrix.dIn, matrix.dOut, bits);
    int largest = (1 << (bits - 1)) - 1;
    for (int j = 0; j < matrix.dOut; j++) {
      int max = 0;
      float maxWeight = 0;
      for (int i = 0; i < matrix.dIn; i++) {
        max = Math.max(max, Math.abs(quantized.values()[j * matrix.dIn + i]));
        maxWeight = Math.max(maxWeight, Math.abs(matrix.values[j * matrix.dIn + i]));
      }
      assertEquals(maxWeight / largest < Float.MIN_NORMAL ? 0 : largest, max);
    }
  }

  @Example
  void twoBitWeightsAreSigns() {
    QuantizedWeights quantized =
        QuantizedWeights.quantize("m", new float[] {3, -3, 1, -1.6f, 0.2f, 0.3f}, 3, 2, 2);
    assertArrayEquals(new byte[] {1, -1, 0, -1, 0, 0}, quantized.values());
    assertArrayEquals(new float[] {3, 1.6f}, quantized.scales());
    assertEquals(new WeightNorms(2, 2, 1), quantized.norms());
  }

  @Example
  void aChannelOfZerosHasScaleOne() {
    QuantizedWeights quantized =
        QuantizedWeights.quantize("m", new float[] {0, -0f, 1e-44f, 0}, 2, 2, 8);
    assertArrayEquals(new byte[4], quantized.values());
    assertArrayEquals(new float[] {1, 1}, quantized.scales());
  }

  @Example
  void weightsThatAreNoNumbersAreNamed() {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      String message =
          assertThrows(
                  InvalidInputException.class,
                  () -> QuantizedWeights.quantize("seq.0", new float[] {1, 2, 3, bad}, 2, 2, 8))
              .getMessage();
      assertTrue(message.startsWith("module 'seq.0': its weight [1, 1] is "), message);
    }
  }
}
