package org.fhespark.compiler.parameters;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.OptionalInt;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.NoiseModel;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.WeightNorms;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ParameterSearchTest {
  private static final double P_ERROR = -40;
  private static final CostConstants COSTS =
      CostConstants.of(ServerKernel.AVX512_VNNI, CostConstants.DEFAULT_WIRE_GIGABITS);

  /** Weights and activations as Gaussian ones are, quantised by their maximum. */
  private static ParameterRequest request(
      int dIn,
      int dOut,
      int weightBits,
      OptionalInt activationBits,
      double log2PError,
      int records) {
    return request(dIn, dOut, weightBits, activationBits, log2PError, records, COSTS);
  }

  private static ParameterRequest request(
      int dIn,
      int dOut,
      int weightBits,
      OptionalInt activationBits,
      double log2PError,
      int records,
      CostConstants costs) {
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
        new BlockWork.Layer(1, dIn, dOut),
        norms,
        bits ->
            Math.min(
                ((1 << (bits - 1)) - 1) * (double) norms.maxL1(),
                ((1 << (bits - 1)) - 1) / 3.0 * Math.sqrt(dIn) * Math.sqrt(norms.maxL2Squared())),
        1000,
        activationBits,
        log2PError,
        records,
        costs);
  }

  private static void assertHolds(ParameterRequest request, ParameterChoice choice) {
    PackedParameters p = choice.parameters();
    double log2Failure = NoiseModel.log2FailureProbability(p, request.norms());
    assertTrue(log2Failure <= request.log2PError());
    assertTrue(
        request.accumulatorBound().applyAsDouble(choice.activationBits())
            <= Math.pow(2, p.messageBits() - 1) - 1);
    int capacity = Math.max(4096, request.records());
    assertTrue(p.maxRecords() >= capacity && p.maxRecords() < capacity + p.polynomialSize());
    // The curve is looked up again: it refuses an n that is not secure.
    assertTrue(NoiseModel.freshStandardDeviation(p.lweDimension(), p.limbs()) > 0);
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
    double total = choice.cost().total() / request.records();
    for (ParameterChoice.Alternative other : choice.alternatives()) {
      assertTrue(other.costRatio() >= 1);
      assertEquals(other.costRatio() * total, other.nanosecondsPerRecord().total(), 1e-9 * total);
    }
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

  @Property(tries = 20)
  void floodedResultsAreExactAndTellOneBitMore(
      @ForAll @IntRange(min = 1, max = 400) int dIn,
      @ForAll @IntRange(min = 2, max = 8) int weightBits,
      @ForAll @IntRange(min = 1, max = 100) int summands) {
    ParameterRequest plain = request(dIn, 16, weightBits, OptionalInt.empty(), P_ERROR, 4096);
    ParameterChoice choice =
        ParameterSearch.search(
            new ParameterRequest(
                plain.modules(),
                plain.layer(),
                plain.norms(),
                bits -> summands * plain.accumulatorBound().applyAsDouble(bits),
                plain.nonZeroRecords(),
                plain.activationBits(),
                plain.limbs(),
                plain.log2PError(),
                plain.records(),
                plain.costs(),
                summands,
                true));
    PackedParameters p = choice.parameters();
    assertTrue(p.protectsWeights());
    // That of all summands together is half of the way to the middle between two messages.
    double together = summands * Math.scalb(1.0, p.flooding());
    double half = Math.scalb(1.0, 8 * p.limbs() - p.messageBits() - 2);
    assertTrue(together <= half && 2 * together > half, p.toString());
    assertTrue(NoiseModel.log2FailureProbability(p, plain.norms()) <= P_ERROR);
    int least = NoiseModel.leastFlooding(p.lweDimension(), p.limbs(), p.maxRecords());
    assertTrue(p.flooding() >= least, p.toString());
    // Wider noise would not be exact whatever else there is.
    assertThrows(
        InvalidInputException.class,
        () ->
            new PackedParameters(
                p.glweDimension(),
                p.polynomialSize(),
                p.limbs(),
                p.bodyLimbs(),
                p.outputLimbs(),
                p.outputBodyLimbs(),
                p.messageBits(),
                p.bodies(),
                summands,
                p.flooding() + 1));
  }

  @Property(tries = 40)
  void noOtherSecureParametersThatDecryptRightCostLess(
      @ForAll @IntRange(min = 1, max = 4000) int dIn,
      @ForAll @IntRange(min = 1, max = 4000) int dOut,
      @ForAll @IntRange(min = 2, max = 8) int weightBits,
      @ForAll @IntRange(min = 4, max = 16) int activationBits,
      @ForAll @DoubleRange(min = -80, max = -10) double log2PError,
      @ForAll("batches") int records,
      @ForAll ServerKernel kernel,
      @ForAll @DoubleRange(min = 0.1, max = 100) double wireGigabits) {
    ParameterRequest request =
        request(
            dIn,
            dOut,
            weightBits,
            OptionalInt.of(activationBits),
            log2PError,
            records,
            CostConstants.of(kernel, wireGigabits));
    Cost least = ParameterSearch.search(request).cost();
    assertEquals(cheapestOfAll(request), least.total(), 1e-9 * least.total());
  }

  @Provide
  Arbitrary<Integer> batches() {
    return Arbitraries.oneOf(
        Arbitraries.of(1, 64, 512, 4096, 16_384), Arbitraries.integers().between(1, 16_384));
  }

  /** The least cost of all parameters with n from 900 to 2560, by trying each. */
  private static double cheapestOfAll(ParameterRequest request) {
    double bound = request.accumulatorBound().applyAsDouble(request.activationBits().orElseThrow());
    int p = 2;
    while (bound > Math.pow(2, p - 1) - 1) {
      p++;
    }
    double least = Double.MAX_VALUE;
    for (int n = 960; n <= 2560; n += 64) {
      for (int limbs = 3; limbs <= 7; limbs++) {
        for (int body = 2; body <= limbs; body++) {
          for (int outputMask = (p + 7) / 8; outputMask <= limbs; outputMask++) {
            for (int outputBody = (p + 7) / 8;
                outputBody <= Math.min(body, outputMask);
                outputBody++) {
              if (!decryptsRight(
                  request,
                  new PackedParameters(n / 64, 64, limbs, body, outputMask, outputBody, p, 1))) {
                continue;
              }
              for (int size = 64; size <= 2048; size *= 2) {
                if (n % size == 0) {
                  PackedParameters split =
                      new PackedParameters(
                          n / size, size, limbs, body, outputMask, outputBody, p, 1);
                  BlockWork work = BlockWork.of(split, request.records(), request.layer());
                  least = Math.min(least, request.costs().price(work).total());
                }
              }
            }
          }
        }
      }
    }
    return least;
  }

  private static boolean decryptsRight(ParameterRequest request, PackedParameters parameters) {
    try {
      return NoiseModel.log2FailureProbability(parameters, request.norms()) <= request.log2PError();
    } catch (InvalidInputException insecure) {
      return false;
    }
  }

  @Property(tries = 20)
  void theSameRequestGetsTheSameChoice(
      @ForAll @IntRange(min = 1, max = 4000) int dIn, @ForAll("batches") int records) {
    assertEquals(
        ParameterSearch.search(request(dIn, 768, 8, OptionalInt.of(8), P_ERROR, records)),
        ParameterSearch.search(request(dIn, 768, 8, OptionalInt.of(8), P_ERROR, records)));
  }

  @Property(tries = 20)
  void aLargerBlockNeverCostsMoreARecord(
      @ForAll @IntRange(min = 1, max = 2000) int dIn,
      @ForAll @IntRange(min = 1, max = 13) int log2) {
    double few = costPerRecord(dIn, 1 << log2);
    double many = costPerRecord(dIn, 2 << log2);
    assertTrue(many <= few * (1 + 1e-9), few + ", " + many);
  }

  private static double costPerRecord(int dIn, int records) {
    ParameterRequest request = request(dIn, 768, 8, OptionalInt.of(8), P_ERROR, records);
    return ParameterSearch.search(request).cost().total() / records;
  }

  @ParameterizedTest
  @CsvSource({"8, 8, 5, 5.1", "8, 6, 4.6, 5.1", "6, 8, 4.6, 5.1"})
  void aBertLayersValuesTravelInAboutFiveBytes(
      int weightBits, int activationBits, double mostDown, double mostUp) {
    int records = 4096;
    ParameterRequest request =
        request(768, 768, weightBits, OptionalInt.of(activationBits), P_ERROR, records);
    BlockWork work =
        BlockWork.of(
            ParameterSearch.search(request).parameters(),
            records,
            new BlockWork.Layer(1, 768, 768));
    double values = 768.0 * records;
    assertTrue(work.bytesUp() / values <= mostUp, "up " + work.bytesUp() / values);
    assertTrue(work.bytesDown() / values <= mostDown, "down " + work.bytesDown() / values);
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
  void whereTheWorstCaseIsCoveredTheRestIsMargin() {
    ParameterRequest request = request(1, 4, 2, OptionalInt.of(12), P_ERROR, 4096);
    ParameterChoice choice = ParameterSearch.search(request);
    assertTrue(choice.coversWorstCase());
    assertEquals(12, choice.parameters().messageBits());
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
    assertEquals(64, one.polynomialSize());
    PackedParameters many =
        ParameterSearch.search(request(768, 768, 8, OptionalInt.of(8), P_ERROR, 4096)).parameters();
    assertTrue(
        one.lweDimension() * one.limbs() <= many.lweDimension() * many.limbs(), one + ", " + many);
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
            new BlockWork.Layer(1, 768, 4),
            new WeightNorms(60_000, 5_000_000, 127),
            bits -> (1 << (bits - 1)) - 1,
            0,
            OptionalInt.of(8),
            P_ERROR,
            64,
            COSTS);
    ParameterChoice choice = ParameterSearch.search(request);
    assertFalse(choice.coversWorstCase());
    assertTrue(choice.policy().contains("no calibrated record"), choice.policy());
    assertFalse(choice.policy().contains("99.9"), choice.policy());
  }

  private static ParameterRequest withLimbs(ParameterRequest request, int limbs) {
    return new ParameterRequest(
        request.modules(),
        request.layer(),
        request.norms(),
        request.accumulatorBound(),
        request.nonZeroRecords(),
        request.activationBits(),
        OptionalInt.of(limbs),
        request.log2PError(),
        request.records(),
        request.costs(),
        request.summands(),
        request.protectsWeights());
  }

  @Property(tries = 30)
  void sumsFitWhateverTheRecordsAre(
      @ForAll @IntRange(min = 1, max = 400) int dIn,
      @ForAll @IntRange(min = 2, max = 8) int weightBits,
      @ForAll @IntRange(min = 3, max = 8) int activationBits,
      @ForAll @IntRange(min = 2, max = 1000) int summands) {
    OptionalInt bits = activationBits == 3 ? OptionalInt.empty() : OptionalInt.of(activationBits);
    ParameterRequest one = request(dIn, 16, weightBits, bits, P_ERROR, 4096);
    long maxL1 = one.norms().maxL1();
    ParameterChoice choice =
        ParameterSearch.search(
            new ParameterRequest(
                one.modules(),
                one.layer(),
                one.norms(),
                a -> (double) summands * ((1 << (a - 1)) - 1) * maxL1,
                1000,
                bits,
                OptionalInt.empty(),
                P_ERROR,
                4096,
                COSTS,
                summands,
                false));
    PackedParameters p = choice.parameters();
    assertEquals(summands, p.summands());
    double largest = (double) summands * ((1 << (choice.activationBits() - 1)) - 1) * maxL1;
    assertTrue(largest <= Math.pow(2, p.messageBits() - 1) - 1);
    assertTrue(choice.coversWorstCase());
    assertTrue(choice.policy().contains("the sum of " + summands + " results"), choice.policy());
    assertTrue(NoiseModel.log2FailureProbability(p, one.norms()) <= P_ERROR);
    assertTrue(
        NoiseModel.outputStandardDeviation(p, one.norms())
            > 1.4 * NoiseModel.outputStandardDeviation(p.withSummands(1), one.norms()));
  }

  @Property(tries = 40)
  void limbsAskedForAreKeptExactlyWhereTheyCan(
      @ForAll @IntRange(min = 1, max = 2000) int dIn,
      @ForAll @IntRange(min = 4, max = 10) int activationBits,
      @ForAll @IntRange(min = 3, max = 7) int limbs) {
    ParameterRequest request =
        withLimbs(request(dIn, 64, 8, OptionalInt.of(activationBits), P_ERROR, 4096), limbs);
    int needed = 2;
    while (request.accumulatorBound().applyAsDouble(activationBits) > Math.pow(2, needed - 1) - 1) {
      needed++;
    }
    if (needed > 8 * limbs) {
      String message =
          assertThrows(InvalidInputException.class, () -> ParameterSearch.search(request))
              .getMessage();
      assertTrue(message.contains("'m'") && message.contains("more limbs"), message);
      return;
    }
    ParameterChoice choice = ParameterSearch.search(request);
    PackedParameters p = choice.parameters();
    assertEquals(limbs, p.limbs());
    assertEquals(activationBits, choice.activationBits());
    // Secure, whether exact or not.
    assertTrue(NoiseModel.freshStandardDeviation(p.lweDimension(), limbs) > 0);
    if (NoiseModel.log2FailureProbability(p, request.norms()) <= P_ERROR) {
      assertHolds(request, choice);
      return;
    }
    assertTrue(choice.why().contains("least noise"), choice.why());
    double noise = NoiseModel.outputStandardDeviation(p, request.norms());
    for (int n = 960; n <= 2560; n += 64) {
      PackedParameters other =
          new PackedParameters(n / 64, 64, limbs, limbs, limbs, limbs, p.messageBits(), 64);
      assertTrue(NoiseModel.outputStandardDeviation(other, request.norms()) >= noise, "n = " + n);
      assertTrue(NoiseModel.log2FailureProbability(other, request.norms()) > P_ERROR, "n = " + n);
    }
  }

  @Example
  void aRequestThatNothingCarriesTellsHowManyBitsWould() {
    ParameterRequest impossible =
        new ParameterRequest(
            "'m'",
            new BlockWork.Layer(1, 65_000, 10),
            new WeightNorms(8_255_000, 1_048_385_000L, 127),
            bits -> Math.pow(2, 22 + bits),
            1000,
            OptionalInt.of(16),
            P_ERROR,
            4096,
            COSTS);
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
}
