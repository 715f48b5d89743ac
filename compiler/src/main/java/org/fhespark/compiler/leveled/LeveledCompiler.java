package org.fhespark.compiler.leveled;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.DoubleStream;
import org.fhespark.compiler.lookups.LookupRegion;
import org.fhespark.compiler.lookups.Network;
import org.fhespark.compiler.lookups.RowSample;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.parameters.FailureProbability;
import org.fhespark.nativelib.LeveledChain;
import org.fhespark.nativelib.LeveledCircuit;
import org.fhespark.nativelib.LeveledLayer;
import org.fhespark.nativelib.LeveledParameters;

/**
 * Makes leveled circuits of modules: linear layers and polynomials on encrypted numbers, the
 * records of a block side by side in the slots of a ciphertext.
 */
public final class LeveledCompiler {
  /** Powers of the standard deviation that are tried for a ball's spread. */
  private static final double[] SPREADS = {0, 0.5, 1};

  /** Products of calibration rows with weights, for one pass through all layers. */
  private static final long MOST_PRODUCTS = 1L << 32;

  private static final int FEWEST_ROWS = 256;

  /** Polynomials that are fitted to fewer rows fit nothing else. */
  private static final long FEWEST_CALIBRATED = 32;

  private LeveledCompiler() {}

  /**
   * What to compile.
   *
   * @param module its key
   * @param regions its calls
   * @param sample rows that they read
   * @param error root mean square error of outputs that is allowed, relative to the root mean
   *     square of their differences from their means
   * @param log2PError log2 of the probability that noise takes a value out of its range, at most
   * @param rows that come together
   */
  public record Request(
      String module,
      List<LookupRegion> regions,
      RowSample sample,
      double error,
      double log2PError,
      long rows) {
    public Request {
      regions = List.copyOf(regions);
    }
  }

  /**
   * Compiles a module.
   *
   * @throws NotLeveledException if it is no chain of layers, no polynomials are exact enough, or
   *     they need more levels than there are
   * @throws org.fhespark.InvalidInputException if it computes something else than its operators
   *     look like
   */
  public static CompiledLeveled compile(OnnxModel model, Request request)
      throws NotLeveledException {
    requireRows(request.sample);
    Network network = Network.read(model, request.module, request.regions, request.sample);
    DenseChain chain = DenseChain.of(network);
    float[][] rows = rows(request.sample, chain);
    RecordBall ball = ball(chain, rows).reaching(request.sample.rows());
    PartialChain start = PartialChain.start(chain, ball, rows);
    float[][] heldOut = CalibrationRows.heldOut(rows);
    ErrorMeasure measure = new ErrorMeasure(network.evaluate(heldOut).outputs());
    LeveledSearch.Trial trial =
        (parameters, whole) -> measure.of(simulated(request, parameters, whole, ball, heldOut));
    LeveledSearch.Choice choice =
        new LeveledSearch(chain, start, measure, trial, request.error, request.rows).search();
    PartialChain.Whole whole = choice.chain();
    LeveledParameters parameters = choice.parameters();
    LeveledChain integers = integers(request, parameters, whole);
    byte[] circuit = LeveledCircuit.encode(parameters, integers);
    FailureProbability failure;
    try (LeveledCircuit opened = LeveledCircuit.open(circuit)) {
      failure =
          LeveledNoise.failure(
              LeveledNoise.firstLayer(whole.layers().get(0), opened.inputNoise()),
              request.log2PError);
    }
    List<Long> recordShape = request.sample.recordShape();
    return new CompiledLeveled(
        parameters,
        integers,
        recordShape.isEmpty() ? null : recordShape,
        recordShape.isEmpty() ? null : chain.outputShape(),
        ball,
        whole.outputRanges(),
        whole.figures(),
        request.error,
        choice.error(),
        failure,
        choice.milliseconds(),
        choice.candidates(),
        circuit);
  }

  private static LeveledChain integers(
      Request request, LeveledParameters parameters, PartialChain.Whole whole) {
    LeveledLayer first = whole.layers().get(0);
    return new LeveledChain(
        request.module,
        first.inputs(),
        whole.layers(),
        whole.activations(),
        LeveledCircuit.nominalScale() * first.multipliers()[0],
        LeveledCircuit.largestOutputScale(parameters.polynomialSize()));
  }

  /** Outputs of some rows, with noise as encryption brings it, {@code [row][output]}. */
  private static double[][] simulated(
      Request request,
      LeveledParameters parameters,
      PartialChain.Whole whole,
      RecordBall ball,
      float[][] rows) {
    double[] records =
        Arrays.stream(rows).map(ball::normalise).flatMapToDouble(Arrays::stream).toArray();
    byte[] circuit = LeveledCircuit.encode(parameters, integers(request, parameters, whole));
    double[] results;
    try (LeveledCircuit opened = LeveledCircuit.open(circuit)) {
      results = opened.evaluateInClear(records, true);
    }
    double[] ranges = whole.outputRanges();
    double[][] outputs = new double[rows.length][ranges.length];
    for (int t = 0; t < rows.length; t++) {
      for (int i = 0; i < ranges.length; i++) {
        outputs[t][i] = results[t * ranges.length + i] * ranges[i];
      }
    }
    return outputs;
  }

  private static void requireRows(RowSample sample) throws NotLeveledException {
    if (sample.count() < FEWEST_CALIBRATED) {
      throw new NotLeveledException(
          "calibration has "
              + sample.count()
              + " rows of it, and ranges and polynomials need "
              + FEWEST_CALIBRATED
              + " or more");
    }
  }

  private static float[][] rows(RowSample sample, DenseChain chain) {
    long weights = 0;
    for (DenseLayer layer : chain.linear()) {
      weights += (long) layer.outputs() * layer.weights()[0].length;
    }
    float[][] all = sample.rows();
    return CalibrationRows.some(all, (int) Math.max(FEWEST_ROWS, MOST_PRODUCTS / weights));
  }

  /** The ball with the tightest ranges of what the first layer makes. */
  private static RecordBall ball(DenseChain chain, float[][] rows) {
    return DoubleStream.of(SPREADS)
        .mapToObj(exponent -> RecordBall.of(rows, exponent))
        .min(Comparator.comparingDouble(ball -> PartialChain.start(chain, ball, rows).tightness()))
        .orElseThrow();
  }
}
