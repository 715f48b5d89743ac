package org.fhespark.compiler.quantize;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.FloatBuffer;
import java.util.Random;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.WeightNorms;

class ActivationStatisticsTest {
  private static final int D_IN = 32;
  private static final int D_OUT = 8;

  private static ActivationStatistics of(int dIn, float... values) {
    ActivationStatistics statistics = new ActivationStatistics();
    statistics.add("t", FloatBuffer.wrap(values), dIn);
    return statistics;
  }

  /** The largest accumulator of integer activations under any of the weights. */
  private static long largestAccumulator(int[] x, byte[] weights) {
    long largest = 0;
    for (int j = 0; j < D_OUT; j++) {
      long accumulator = 0;
      for (int i = 0; i < D_IN; i++) {
        accumulator += (long) x[i] * weights[j * D_IN + i];
      }
      largest = Math.max(largest, Math.abs(accumulator));
    }
    return largest;
  }

  @Property(tries = 200)
  void noAccumulatorOfACalibratedRecordExceedsTheBoundOfAllRecords(
      @ForAll long seed, @ForAll @IntRange(min = 6, max = 16) int bits) {
    Random random = new Random(seed);
    byte[] weights = new byte[D_IN * D_OUT];
    random.nextBytes(weights);
    float[] record = new float[D_IN];
    for (int i = 0; i < D_IN; i++) {
      record[i] = (float) (random.nextGaussian() * (random.nextInt(8) == 0 ? 10 : 1));
    }
    int largest = ActivationStatistics.largestInteger(bits);
    float max = 0;
    for (float value : record) {
      max = Math.max(max, Math.abs(value));
    }
    int[] integers = new int[D_IN];
    for (int i = 0; i < D_IN; i++) {
      integers[i] = (int) Math.rint(record[i] / (double) max * largest);
    }
    WeightNorms norms = WeightNorms.of(weights, D_IN, D_OUT);
    double bound = of(D_IN, record).accumulatorBound(norms, bits, QuantizationMode.DYNAMIC, 1.0);
    assertTrue(largestAccumulator(integers, weights) <= bound);
    assertTrue(bound <= (double) largest * norms.maxL1());
  }

  @Example
  void theHistogramCountsRecordsByTheirLargestMagnitudeAndLeavesOutZeroRecords() {
    ActivationStatistics statistics = of(2, 1, -0.5f, 0, 0, -3, 2, 4, 0, 0.1f, 0.2f);
    assertArrayEquals(new long[] {1, 1, 0, 2}, statistics.maxNormHistogram(4));
  }

  @Example
  void theBoundIsTheLeastOfThree() {
    // ‖x‖∞ = 127 · 1, ‖x‖₂ = 127, ‖x‖₁ = 127 once quantised to 8 bits, and rounding noise.
    WeightNorms norms = new WeightNorms(1000, 100 * 100, 90);
    ActivationStatistics oneHot = of(4, 0, 2, 0, 0);
    assertEquals(
        (127 + Math.sqrt(4 / 12.0)) * 90,
        oneHot.accumulatorBound(norms, 8, QuantizationMode.DYNAMIC, 1),
        1e-6);
    ActivationStatistics even = of(4, 1, 1, 1, 1);
    assertEquals(
        Math.sqrt(4 * 127.0 * 127.0 + 4 / 12.0) * 100,
        even.accumulatorBound(norms, 8, QuantizationMode.DYNAMIC, 1),
        1e-6);
    assertEquals(
        127 * 150,
        even.accumulatorBound(new WeightNorms(150, 100 * 100, 90), 8, QuantizationMode.DYNAMIC, 1));
  }

  @Example
  void aQuantileLeavesOutTheLargestRecords() {
    float[] values = new float[2 * 1000];
    for (int r = 0; r < 1000; r++) {
      values[2 * r] = 1;
      values[2 * r + 1] = r == 0 ? 1 : 0;
    }
    WeightNorms norms = new WeightNorms(1000, 1000 * 1000, 1000);
    ActivationStatistics statistics = of(2, values);
    double all = statistics.accumulatorBound(norms, 8, QuantizationMode.DYNAMIC, 1);
    double most = statistics.accumulatorBound(norms, 8, QuantizationMode.DYNAMIC, 0.999);
    assertEquals(127 * 1000, all, 1000);
    assertTrue(most <= all);
  }

  @Example
  void staticQuantisationScalesBySmallAndLargeRecordsAlike() {
    ActivationStatistics statistics = of(2, 4, 0, 0.01f, 0);
    assertEquals(4f / 127, statistics.staticScale(8));
    assertEquals(4f, statistics.maxAbs());
    WeightNorms norms = new WeightNorms(10, 100, 10);
    ActivationStatistics small = of(2, 4, 0, 4, 4);
    assertTrue(
        small.accumulatorBound(norms, 8, QuantizationMode.STATIC, 0.5)
            <= small.accumulatorBound(norms, 8, QuantizationMode.STATIC, 1));
    assertEquals(1f, of(2, 0, 0).staticScale(8));
  }

  @Example
  void zeroRecordsCountButOnlyTheActivationsThemselvesAreBound() {
    ActivationStatistics statistics = of(2, 0, 0, 0, 0);
    assertEquals(2, statistics.records());
    assertEquals(0, statistics.nonZeroRecords());
    assertEquals(1, of(2, 0, 0, 0, 3).nonZeroRecords());
    assertEquals(
        127,
        statistics.accumulatorBound(new WeightNorms(9, 9, 3), 8, QuantizationMode.DYNAMIC, 0.999));
  }

  @Example
  void aLargeSampleStaysRepresentative() {
    Random random = new Random(5);
    ActivationStatistics statistics = new ActivationStatistics();
    float[] values = new float[2 * 1000];
    for (int batch = 0; batch < 200; batch++) {
      for (int r = 0; r < 1000; r++) {
        values[2 * r] = 1;
        values[2 * r + 1] = random.nextFloat();
      }
      statistics.add("t", FloatBuffer.wrap(values), 2);
    }
    assertEquals(200_000, statistics.records());
    // l1 is 1 + uniform; its median is 1.5.
    double median =
        statistics.accumulatorBound(
            new WeightNorms(1 << 20, 1L << 40, 1000), 16, QuantizationMode.DYNAMIC, 0.5);
    assertEquals(1.5, median / (32767.0 * 1000), 0.02);
  }

  @Example
  void activationsThatAreNoNumbersAreNamed() {
    for (float bad : new float[] {Float.NaN, Float.NEGATIVE_INFINITY}) {
      String message = assertThrows(InvalidInputException.class, () -> of(2, 1, bad)).getMessage();
      assertTrue(message.startsWith("calibration: tensor 't' holds "), message);
    }
  }
}
