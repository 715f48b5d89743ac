package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.function.DoubleUnaryOperator;
import org.fhespark.compiler.lookups.Network;
import org.fhespark.nativelib.LeveledActivation.Form;
import org.junit.jupiter.api.Test;

class LeveledSearchTest {
  private static LeveledSearch.Choice search(
      DoubleUnaryOperator activation, double target, long records, int... widths)
      throws NotLeveledException {
    Network network = RandomNetwork.chain(5, activation, widths);
    float[][] rows = RandomNetwork.rows(6, 600, widths[0]);
    DenseChain chain = DenseChain.of(network);
    PartialChain start = PartialChain.start(chain, RecordBall.of(rows, 0), rows);
    ErrorMeasure measure =
        new ErrorMeasure(network.evaluate(CalibrationRows.heldOut(rows)).outputs());
    return new LeveledSearch(
            chain, start, measure, (p, whole) -> measure.of(whole.heldOut()), target, records)
        .search();
  }

  @Test
  void levelsAreThoseOfActivationsAndLinearLayers() {
    assertEquals(2, new ActivationShape(Form.GENERAL, 3).levels());
    assertEquals(3, new ActivationShape(Form.EVEN, 3).levels());
    assertEquals(6, new ActivationShape(Form.GENERAL, 63).levels());
    assertEquals(3, new ActivationShape(Form.GENERAL, 4).levels());
    for (Form form : Form.values()) {
      for (int degree : ActivationShape.DEGREES) {
        ActivationShape shape = new ActivationShape(form, degree);
        assertEquals(2 + shape.levels(), ActivationShape.levels(List.of(shape)), "" + shape);
        assertEquals(
            3 + shape.levels() + 2,
            ActivationShape.levels(List.of(shape, new ActivationShape(Form.GENERAL, 3))));
      }
    }
  }

  @Test
  void noiseThatMakesOutputsInexactIsAReason() {
    Network network = RandomNetwork.chain(5, RandomNetwork.SILU, 12, 24, 4);
    float[][] rows = RandomNetwork.rows(6, 200, 12);
    String reason =
        assertThrows(
                NotLeveledException.class,
                () -> {
                  DenseChain chain = DenseChain.of(network);
                  ErrorMeasure measure =
                      new ErrorMeasure(network.evaluate(CalibrationRows.heldOut(rows)).outputs());
                  PartialChain start = PartialChain.start(chain, RecordBall.of(rows, 0), rows);
                  new LeveledSearch(chain, start, measure, (p, whole) -> 0.5, 0.1, 100).search();
                })
            .getMessage();
    assertTrue(reason.startsWith("noise takes the error of its outputs to 0.500"), reason);
  }

  @Test
  void smallerErrorsCostMore() throws NotLeveledException {
    LeveledSearch.Choice before = null;
    for (double target : new double[] {0.2, 0.08, 0.04, 0.015}) {
      LeveledSearch.Choice choice = search(RandomNetwork.RELU, target, 4096, 12, 24, 4);
      assertTrue(choice.error() <= target, choice.error() + " for " + target);
      assertEquals(choice.parameters().levels(), ActivationShape.levels(choice.activations()));
      assertTrue(
          choice.parameters().levels() <= Rings.mostLevels(choice.parameters().polynomialSize()));
      assertTrue(before == null || before.milliseconds() <= choice.milliseconds());
      before = choice;
    }
    assertTrue(before.parameters().levels() > 6, "" + before.parameters());
  }

  @Test
  void fewRecordsGetASmallRing() throws NotLeveledException {
    int few = search(RandomNetwork.SILU, 0.05, 100, 12, 24, 4).parameters().polynomialSize();
    int many = search(RandomNetwork.SILU, 0.05, 1 << 20, 12, 24, 4).parameters().polynomialSize();
    assertTrue(few <= many, few + " and " + many);
  }

  @Test
  void anErrorThatNoPolynomialReachesIsRefused() {
    String reason =
        assertThrows(
                NotLeveledException.class, () -> search(RandomNetwork.RELU, 1e-5, 4096, 12, 24, 4))
            .getMessage();
    assertTrue(reason.contains("even with polynomials of degree 63"), reason);
  }

  @Test
  void blocksTooLargeToSendAreRefusedWithTheirSize() {
    String reason =
        assertThrows(
                NotLeveledException.class,
                () -> search(RandomNetwork.RELU, 0.015, 4096, 12, 24, 16_000))
            .getMessage();
    assertTrue(
        reason.matches(
            "a block of it has [\\d,]+ MB on its way up .* 1,024 MB and 768 MB are the most"),
        reason);
  }

  @Test
  void layersThatNeedMoreLevelsThanThereAreAreRefusedWithBothNumbers() {
    String reason =
        assertThrows(
                NotLeveledException.class,
                () -> search(RandomNetwork.SILU, 0.05, 4096, 8, 10, 10, 10, 10, 10, 10, 2))
            .getMessage();
    assertTrue(reason.matches(".*needs \\d+ levels, and the largest ring has 27"), reason);
  }
}
