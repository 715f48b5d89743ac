package org.fhespark.compiler;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.IntToDoubleFunction;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.affine.IntegerWeights;
import org.fhespark.compiler.parameters.BlockLimits;
import org.fhespark.compiler.parameters.BlockWork;
import org.fhespark.compiler.parameters.FailureProbability;
import org.fhespark.compiler.parameters.ParameterChoice;
import org.fhespark.compiler.parameters.ParameterRequest;
import org.fhespark.compiler.parameters.ParameterSearch;
import org.fhespark.compiler.quantize.ActivationStatistics;
import org.fhespark.compiler.quantize.Calibration;
import org.fhespark.compiler.quantize.FixedQuantization;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.compiler.quantize.QuantizedWeights;
import org.fhespark.compiler.quantize.WeightError;
import org.fhespark.compiler.split.RemoteModule;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;

/**
 * A stack of modules with quantised weights, parameters, and the circuit made of them.
 *
 * @param stack the modules
 * @param weightScales of each output, {@code [dOut]}
 * @param norms of the integer weights
 * @param weightBits of each module
 * @param weightErrors of each module: the relative RMS error of each of its outputs' weights
 * @param choice of parameters
 * @param failure how surely it decrypts right
 * @param rowsPerRecord rows that a record makes on average
 * @param blockRows rows expected in a block
 * @param fixed the quantisation of its input, if the model itself has one
 * @param sharedScale the scale of all rows that it ever reads, where results may be added and the
 *     model has no quantisation of its own; else empty
 * @param circuit what the server gets
 */
record CompiledCircuit(
    CircuitStack stack,
    float[] weightScales,
    WeightNorms norms,
    List<Integer> weightBits,
    List<double[]> weightErrors,
    ParameterChoice choice,
    FailureProbability failure,
    double rowsPerRecord,
    int blockRows,
    Optional<FixedQuantization> fixed,
    Optional<Float> sharedScale,
    byte[] circuit) {
  private static final int TYPICAL_BODY_LIMBS = 5;
  private static final int MOST_ROWS = 16_384;

  /**
   * Quantises the weights of a stack, chooses parameters, and makes the circuit.
   *
   * @param fixed the quantisation of its input, if the model itself has one
   * @throws InvalidInputException if no parameters carry it, a weight is not finite, or the result
   *     of a single panel of rows is too large to send
   */
  static CompiledCircuit of(
      CircuitStack stack,
      Calibration.Result calibration,
      Optional<FixedQuantization> fixed,
      CompileOptions options) {
    List<QuantizedWeights> modules = new ArrayList<>();
    List<double[]> errors = new ArrayList<>();
    for (RemoteModule module : stack.modules()) {
      float[] exact = module.layer().weights();
      QuantizedWeights quantized = quantize(module, exact, options);
      modules.add(quantized);
      errors.add(WeightError.perOutput(exact, quantized));
    }
    QuantizedWeights weights = QuantizedWeights.stacked(modules, stack.dIn());
    double rowsPerRecord =
        stack.readers().stream().mapToDouble(calibration::rowsPerRecord).max().orElseThrow();
    int blockRows = blockRows(stack.dIn(), rowsPerRecord, options.expectedBatch());
    ParameterChoice choice =
        chooseParameters(stack, weights.norms(), calibration, fixed, blockRows, options);
    requireSendable(stack, choice.parameters());
    byte[] circuit =
        PackedCircuit.encode(
            choice.parameters(), stack.name(), stack.dIn(), stack.dOut(), weights.values());
    return new CompiledCircuit(
        stack,
        weights.scales(),
        weights.norms(),
        modules.stream().map(QuantizedWeights::bits).toList(),
        errors,
        choice,
        FailureProbability.of(choice.parameters(), weights.norms(), options.log2PError()),
        rowsPerRecord,
        blockRows,
        fixed,
        sharedScale(stack, calibration, choice.activationBits(), options),
        circuit);
  }

  private static Optional<Float> sharedScale(
      CircuitStack stack, Calibration.Result calibration, int bits, CompileOptions options) {
    if (options.sums() == 1) {
      return Optional.empty();
    }
    return stack.readers().stream()
        .map(reader -> calibration.of(reader).staticScale(bits))
        .max(Float::compare);
  }

  private static QuantizedWeights quantize(
      RemoteModule module, float[] exact, CompileOptions options) {
    Optional<IntegerWeights> trained = module.layer().map().integers();
    if (trained.isPresent() && !options.namesWeightBits(module.key())) {
      return QuantizedWeights.given(
          trained.get().values().get(), trained.get().scales().get(), trained.get().bits());
    }
    return QuantizedWeights.quantize(
        module.key(),
        exact,
        module.layer().dIn(),
        module.layer().dOut(),
        options.weightBits(module.key()));
  }

  /** Rows of the expected batch that one block holds; the client cuts blocks by bytes. */
  private static int blockRows(int dIn, double rowsPerRecord, int expectedBatch) {
    if (rowsPerRecord == 1) {
      return expectedBatch;
    }
    long fitting =
        BlockLimits.BLOCK_BYTES
            / (dIn * TYPICAL_BODY_LIMBS)
            / BlockLimits.PANEL_ROWS
            * BlockLimits.PANEL_ROWS;
    double most = Math.min(MOST_ROWS, Math.max(BlockLimits.PANEL_ROWS, fitting));
    return (int) Math.max(1, Math.min(most, Math.round(expectedBatch * rowsPerRecord)));
  }

  private static ParameterChoice chooseParameters(
      CircuitStack stack,
      WeightNorms norms,
      Calibration.Result calibration,
      Optional<FixedQuantization> fixed,
      int blockRows,
      CompileOptions options) {
    // The client counts the norms of a layer of zeros as 1.
    WeightNorms atLeastOne =
        new WeightNorms(
            Math.max(1, norms.maxL1()),
            Math.max(1, norms.maxL2Squared()),
            Math.max(1, norms.maxAbs()));
    List<ActivationStatistics> statistics =
        stack.readers().stream().map(calibration::of).distinct().toList();
    IntToDoubleFunction calibratedBound =
        bits ->
            statistics.stream()
                .mapToDouble(
                    seen ->
                        seen.accumulatorBound(
                            atLeastOne,
                            bits,
                            options.quantization(),
                            ParameterSearch.FITTING_RECORDS))
                .max()
                .orElseThrow();
    // The model's own quantisation must hold for every record: none may get a coarser scale.
    // So must one scale for all that is added.
    IntToDoubleFunction bound = calibratedBound;
    if (fixed.isPresent()) {
      double largest = (double) options.sums() * fixed.get().largestInteger();
      bound = bits -> largest * atLeastOne.maxL1();
    } else if (options.sums() > 1) {
      bound = bits -> (double) options.sums() * ((1 << (bits - 1)) - 1) * atLeastOne.maxL1();
    }
    return ParameterSearch.search(
        new ParameterRequest(
            stack.quotedKeys(),
            new BlockWork.Layer(1, stack.dIn(), stack.dOut()),
            atLeastOne,
            bound,
            statistics.stream().mapToLong(ActivationStatistics::nonZeroRecords).min().orElseThrow(),
            fixed.isPresent()
                ? OptionalInt.of(fixed.get().activationBits())
                : stack.activationBits(),
            stack.limbs(),
            options.log2PError(),
            blockRows,
            options.costs(),
            options.sums(),
            options.protectWeights()));
  }

  private static void requireSendable(CircuitStack stack, PackedParameters parameters) {
    long bytes =
        ((long) parameters.lweDimension() * parameters.outputLimbs()
                + (long) BlockLimits.PANEL_ROWS * parameters.outputBodyLimbs())
            * stack.dOut();
    if (bytes > BlockLimits.LARGEST_RESULT_BYTES) {
      throw new InvalidInputException(
          "module "
              + stack.quotedKeys()
              + ": the encrypted result of one record takes "
              + bytes
              + " bytes, more than the "
              + BlockLimits.LARGEST_RESULT_BYTES
              + " that a task can return; keep this module in clear");
    }
  }

  /** How the client quantises the rows of one of its calls. */
  Quantization quantization(ActivationStatistics statistics, QuantizationMode mode) {
    int bits = choice.activationBits();
    if (fixed.isPresent()) {
      return new Quantization(bits, fixed.get().scale());
    }
    if (sharedScale.isPresent()) {
      return new Quantization(bits, sharedScale.get());
    }
    return new Quantization(
        bits, mode == QuantizationMode.STATIC ? statistics.staticScale(bits) : 0f);
  }

  int dIn() {
    return stack.dIn();
  }

  int dOut() {
    return stack.dOut();
  }
}
