package org.fhespark.compiler.parameters;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.OptionalInt;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.NoiseModel;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.WeightNorms;

class ParameterSearchTest {
  private static final double P_ERROR = -40;

  /** Weights and activations as Gaussian ones are, quantised by their maximum. */
  private static ParameterRequest request(
      int dIn,
      int dOut,
      int weightBits,
      OptionalInt activationBits,
      double log2PError,
      int records) {
    int largest = (1 << (weightBits - 1)) - 1;
    double deviation = Math.max(0.7, largest / 3.3);
    WeightNorms norms =
        new WeightNorms(
            (long) Math.max(largest, Math.min(largest * (double) dIn, 0.85 * deviation * dIn)),
            (long)
                Math.max(
                    largest * largest,
                    Math.min((double) largest * largest * dIn, 1.1 * deviation * deviation * dIn)),
            largest);
    return new ParameterRequest(
        "'m'",
        dIn,
        dOut,
        norms,
        bits ->
            Math.min(
                ((1 << (bits - 1)) - 1) * (double) norms.maxL1(),
                ((1 << (bits - 1)) - 1) / 3.0 * Math.sqrt(dIn) * Math.sqrt(norms.maxL2Squared())),
        1000,
        activationBits,
        log2PError,
        records);
  }

  private static void assertHolds(ParameterRequest request, ParameterChoice choice) {
    PackedParameters p = choice.parameters();
    double log2Failure = NoiseModel.log2FailureProbability(p, request.norms());
    assertTrue(log2Failure <= request.log2PError());
    assertTrue(
        request.accumulatorBound().applyAsDouble(choice.activationBits())
            <= Math.pow(2, p.messageBits() - 1) - 1);
    assertTrue(p.maxRecords() >= request.records());
    assertTrue(p.maxRecords() < request.records() + p.polynomialSize());
    assertTrue(p.messageBits() <= 8 * p.outputBodyLimbs() && p.messageBits() <= 52);
    FailureProbability failure = FailureProbability.of(p, request.norms(), request.log2PError());
    assertTrue(failure.marginBits() >= 0, failure.toString());
    assertTrue(failure.log2PerValue() <= request.log2PError());
    boolean covers =
        ((1L << (choice.activationBits() - 1)) - 1) * (double) request.norms().maxL1()
            <= Math.pow(2, p.messageBits() - 1) - 1;
    assertEquals(covers, choice.coversWorstCase());
    assertEquals(!covers, choice.policy().contains("coarsens"));
    assertEquals(!covers, choice.policy().contains("about 99.9 % of the calibrated records"));
    choice.alternatives().forEach(other -> assertTrue(other.costRatio() >= 1));
  }

  @Property(tries = 60)
  void theChoiceCarriesTheRequestWithinItsFailureProbability(
      @ForAll @IntRange(min = 1, max = 5000) int dIn,
      @ForAll @IntRange(min = 1, max = 5000) int dOut,
      @ForAll @IntRange(min = 2, max = 8) int weightBits,
      @ForAll @IntRange(min = 3, max = 16) int activationBits,
      @ForAll @DoubleRange(min = -128, max = -5) double log2PError,
      @ForAll @IntRange(min = 1, max = 10_000) int records) {
    // Three stands for automatic.
    OptionalInt bits = activationBits == 3 ? OptionalInt.empty() : OptionalInt.of(activationBits);
    ParameterRequest request = request(dIn, dOut, weightBits, bits, log2PError, records);
    ParameterChoice choice = ParameterSearch.search(request);
    assertHolds(request, choice);
    bits.ifPresent(asked -> assertEquals(asked, choice.activationBits()));
    if (bits.isEmpty()) {
      assertTrue(choice.activationBits() >= 8 && choice.activationBits() <= 16);
    }
  }

  @Property(tries = 30)
  void moreActivationBitsNeverCostLess(
      @ForAll @IntRange(min = 16, max = 4000) int dIn,
      @ForAll @IntRange(min = 4, max = 15) int bits) {
    double fewer =
        ParameterSearch.search(request(dIn, 768, 8, OptionalInt.of(bits), P_ERROR, 4096))
            .cost()
            .total();
    double more =
        ParameterSearch.search(request(dIn, 768, 8, OptionalInt.of(bits + 1), P_ERROR, 4096))
            .cost()
            .total();
    assertTrue(more >= fewer);
  }

  @Property(tries = 30)
  void aStricterFailureProbabilityNeverCostsLess(
      @ForAll @IntRange(min = 16, max = 4000) int dIn,
      @ForAll @DoubleRange(min = -100, max = -20) double log2PError) {
    double loose =
        ParameterSearch.search(request(dIn, 768, 8, OptionalInt.of(8), log2PError, 4096))
            .cost()
            .total();
    double strict =
        ParameterSearch.search(request(dIn, 768, 8, OptionalInt.of(8), log2PError - 20, 4096))
            .cost()
            .total();
    assertTrue(strict >= loose);
  }

  @Example
  void automaticBitsUseWhatTheLimbsOfEightPayFor() {
    ParameterChoice eight =
        ParameterSearch.search(request(768, 768, 8, OptionalInt.of(8), P_ERROR, 4096));
    ParameterChoice automatic =
        ParameterSearch.search(request(768, 768, 8, OptionalInt.empty(), P_ERROR, 4096));
    assertEquals(eight.parameters().limbs(), automatic.parameters().limbs());
    assertEquals(eight.parameters().lweDimension(), automatic.parameters().lweDimension());
    assertEquals(eight.parameters().outputLimbs(), automatic.parameters().outputLimbs());
    assertTrue(automatic.activationBits() >= 8);
    assertTrue(automatic.why().contains("raised"), automatic.why());
  }

  @Example
  void atSixteenBitsTheWorstCaseIsEnoughAndTheRestIsMargin() {
    ParameterRequest request = request(1, 4, 2, OptionalInt.of(16), P_ERROR, 4096);
    ParameterChoice choice = ParameterSearch.search(request);
    assertTrue(choice.coversWorstCase());
    assertEquals(16, choice.parameters().messageBits());
  }

  @Example
  void aBertLayerTakesTheParametersTheDesignExpects() {
    // The design document: d_in ≈ 768, 8-bit × 8-bit → q = 2^40 at T = 4096, n = 1536 for p = 21;
    // the
    // bound on these activations needs p = 22.
    PackedParameters parameters =
        ParameterSearch.search(request(768, 768, 8, OptionalInt.of(8), P_ERROR, 4096)).parameters();
    assertEquals(5, parameters.limbs());
    assertTrue(
        parameters.lweDimension() >= 1280 && parameters.lweDimension() <= 2048,
        parameters.toString());
    assertTrue(parameters.outputLimbs() <= 4);
  }

  @Example
  void smallBatchesTakeSmallPolynomials() {
    PackedParameters one =
        ParameterSearch.search(request(768, 768, 8, OptionalInt.of(8), P_ERROR, 1)).parameters();
    assertEquals(1, one.bodies());
    assertTrue(one.polynomialSize() <= 256, one.toString());
  }

  @Example
  void noMarginMeansTheFailureProbabilityAskedFor() {
    PackedParameters parameters = new PackedParameters(3, 512, 5, 5, 4, 4, 21, 8);
    WeightNorms norms = new WeightNorms(40_000, 1_500_000, 127);
    double log2 = FailureProbability.of(parameters, norms, P_ERROR).log2PerValue();
    assertEquals(0, FailureProbability.of(parameters, norms, log2).marginBits());
    // Four times the exponent c²/2 is twice the deviations c.
    assertEquals(
        1, FailureProbability.of(parameters, norms, 1 + (log2 - 1) / 4).marginBits(), 1e-12);
    assertTrue(FailureProbability.of(parameters, norms, log2 - 1).marginBits() < 0);
  }

  @Example
  void aFailureProbabilityCountsTheBiasOfRounding() {
    PackedParameters kept = new PackedParameters(3, 512, 5, 5, 4, 4, 21, 8);
    PackedParameters rounded = new PackedParameters(3, 512, 5, 5, 3, 3, 21, 8);
    WeightNorms norms = new WeightNorms(40_000, 1_500_000, 127);
    assertTrue(
        FailureProbability.of(rounded, norms, P_ERROR).marginBits()
            < FailureProbability.of(kept, norms, P_ERROR).marginBits());
  }

  @Example
  void calibrationWithoutARecordThatIsNotZeroIsSaid() {
    ParameterRequest request =
        new ParameterRequest(
            "'m'",
            768,
            4,
            new WeightNorms(60_000, 5_000_000, 127),
            bits -> (1 << (bits - 1)) - 1,
            0,
            OptionalInt.of(8),
            P_ERROR,
            64);
    ParameterChoice choice = ParameterSearch.search(request);
    assertFalse(choice.coversWorstCase());
    assertTrue(choice.policy().contains("no calibrated record"), choice.policy());
    assertFalse(choice.policy().contains("99.9"), choice.policy());
  }

  @Example
  void aRequestThatNothingCarriesTellsHowManyBitsWould() {
    ParameterRequest impossible =
        new ParameterRequest(
            "'m'",
            65_000,
            10,
            new WeightNorms(8_255_000, 1_048_385_000L, 127),
            bits -> Math.pow(2, 22 + bits),
            1000,
            OptionalInt.of(16),
            P_ERROR,
            4096);
    String message =
        assertThrows(InvalidInputException.class, () -> ParameterSearch.search(impossible))
            .getMessage();
    assertTrue(
        message.matches(
            "module 'm': no parameters carry 16-bit activations at p-error 2\\^-40;"
                + " [0-9]+ bits would do: use --activation-bits [0-9]+"),
        message);
    assertFalse(message.contains("would do: use --activation-bits 16"));
  }

  @Example
  void theCostModelFitsThePrototypesMeasurements() {
    PackedParameters three = new PackedParameters(3, 512, 5, 5, 4, 4, 22, 8);
    PackedParameters six = new PackedParameters(6, 256, 5, 5, 4, 4, 22, 16);
    double values = 2.0 * 4096 * 768;
    double perValue = CostModel.of(three, 4096, 768, 768).client() / values;
    assertEquals(2.05, perValue, 0.25);
    assertEquals(1.175, CostModel.of(six, 4096, 768, 768).client() / values / perValue, 0.06);
  }
}
