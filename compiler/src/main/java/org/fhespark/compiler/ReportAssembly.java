package org.fhespark.compiler;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.leveled.CompiledLeveled;
import org.fhespark.compiler.lookups.CompiledLookups;
import org.fhespark.compiler.lookups.RowSample;
import org.fhespark.compiler.modules.ModulePattern;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.parameters.BlockWork;
import org.fhespark.compiler.parameters.Cost;
import org.fhespark.compiler.quantize.ActivationStatistics;
import org.fhespark.compiler.quantize.Calibration;
import org.fhespark.compiler.quantize.PaddingMask;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.compiler.split.RemoteCall;
import org.fhespark.compiler.split.RemoteModule;
import org.fhespark.compiler.storage.Sha256;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.LeveledParameters;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.WeightAttack;

/** Says in the report what the other parts of the compiler decided. */
final class ReportAssembly {
  private static final double MASK_SEED_BYTES = 16;
  private static final int BINS = 24;

  private ReportAssembly() {}

  static CompileReport of(
      OnnxModel model,
      ModuleTree tree,
      ExposedModel types,
      ClientSpecs specs,
      List<CompiledCircuit> circuits,
      NonLinearModules.Compiled nonLinear,
      Calibration.Result calibration,
      Optional<PaddingMask> mask,
      List<String> unchecked,
      CompileOptions options) {
    List<CompileReport.Module> modules = new ArrayList<>();
    for (CompiledCircuit circuit : circuits) {
      for (int i = 0; i < circuit.stack().modules().size(); i++) {
        modules.add(module(circuit, i, tree, calibration, options));
      }
    }
    modules.sort(
        Comparator.comparingInt(module -> indexOf(options.remoteModules(), module.module())));
    return new CompileReport(
        ArtifactJson.FORMAT_VERSION,
        model.file(),
        model.digest(),
        Sha256.hexOf(ArtifactJson.write(specs)),
        options.log2PError(),
        options.expectedBatch(),
        options.costs(),
        specs.segments().size(),
        (int) specs.remote().stream().mapToInt(RemoteCallSpec::stage).distinct().count(),
        padding(calibration, mask),
        unchecked,
        SplitGraph.of(specs, types::info),
        modules,
        nonLinear.lookups().stream()
            .map(
                module ->
                    lookups(
                        module,
                        nonLinear.choices().get(module.module()),
                        specs,
                        calibration,
                        options))
            .toList(),
        nonLinear.leveled().stream()
            .map(
                module ->
                    leveled(module, nonLinear.choices().get(module.module()), specs, calibration))
            .toList());
  }

  /** What happens to padding, one sentence; null for a model without a padding mask. */
  private static String padding(Calibration.Result calibration, Optional<PaddingMask> mask) {
    if (mask.isEmpty()) {
      return null;
    }
    String input = "'" + mask.get().input() + "'";
    if (calibration.harm().isPresent()) {
      return "positions where "
          + input
          + " is 0 are computed like all others, for "
          + calibration.harm().get();
    }
    return !calibration.skipsPadding()
        ? "no remote call reads rows of the axes of " + input
        : "positions where " + input + " is 0 are neither encrypted nor computed";
  }

  /** Which of the keys or patterns a module was named by. */
  private static int indexOf(List<String> named, String module) {
    return IntStream.range(0, named.size())
        .filter(i -> new ModulePattern(named.get(i)).fits(module))
        .findFirst()
        .orElseThrow();
  }

  private static CompileReport.Module module(
      CompiledCircuit circuit,
      int index,
      ModuleTree tree,
      Calibration.Result calibration,
      CompileOptions options) {
    RemoteModule module = circuit.stack().modules().get(index);
    AffineCall layer = module.layer();
    List<RemoteCall> calls = circuit.stack().calls().get(index);
    List<ActivationStatistics> statistics =
        calls.stream().map(call -> calibration.of(call.call())).toList();
    PackedParameters parameters = circuit.choice().parameters();
    QuantizationMode mode =
        circuit.fixed().isPresent() ? QuantizationMode.STATIC : options.quantization();
    int rows = circuit.blockRows();
    BlockWork work =
        BlockWork.of(parameters, rows, new BlockWork.Layer(1, layer.dIn(), layer.dOut()));
    double bytesUpPerRow = (work.bytesUp() + MASK_SEED_BYTES) / rows;
    double bytesDownPerRow = work.bytesDown() / rows;
    Cost perRow = circuit.choice().cost().perRecord(rows);
    return new CompileReport.Module(
        module.key(),
        circuit.stack().name(),
        tree.find(module.key()).kind(),
        calls.stream().map(RemoteCall::stage).toList(),
        layer.dIn(),
        layer.dOut(),
        circuit.weightBits().get(index),
        circuit.choice().activationBits(),
        mode,
        circuit.rowsPerRecord(),
        statistics.stream().mapToLong(ActivationStatistics::records).sum(),
        (float) statistics.stream().mapToDouble(ActivationStatistics::maxAbs).max().orElseThrow(),
        parameters,
        parameters.lweDimension(),
        parameters.log2Modulus(),
        circuit.failure().log2PerValue(),
        circuit.failure().marginBits(),
        bytesUpPerRow / layer.dIn(),
        bytesDownPerRow / layer.dOut(),
        bytesUpPerRow * circuit.rowsPerRecord(),
        bytesDownPerRow * circuit.rowsPerRecord(),
        circuit.choice().cost().total(),
        perRow.times(circuit.rowsPerRecord()),
        circuit.choice().coversWorstCase(),
        circuit.choice().policy(),
        leakage(circuit, layer),
        circuit.choice().candidates(),
        circuit.choice().why(),
        circuit.choice().alternatives(),
        Histogram.of(circuit.weightErrors().get(index), BINS),
        calls.stream()
            .map(RemoteCall::call)
            .collect(Collectors.toMap(AffineCall::input, c -> c, (a, b) -> a, LinkedHashMap::new))
            .values()
            .stream()
            .map(call -> input(circuit, call.input(), calibration.of(call), mode))
            .toList());
  }

  private static CompileReport.LookupModule lookups(
      CompiledLookups module,
      EngineChoice engine,
      ClientSpecs specs,
      Calibration.Result calibration,
      CompileOptions options) {
    BootstrapParameters parameters = module.parameters();
    RowSample sample = calibration.samples().get(module.module());
    List<Integer> stages = stages(module.module(), specs);
    double rows = NonLinearModules.rowsPerRecord(sample, stages.size(), calibration.records());
    return new CompileReport.LookupModule(
        module.module(),
        engine,
        stages,
        module.inputs(),
        module.outputs(),
        module.packedOutputs(),
        module.lookups(),
        module.weightBits(),
        module.quantization().activationBits(),
        module.quantization().staticScale(),
        rows,
        sample.count(),
        sample.maxAbs(),
        module.packed(),
        parameters,
        options.lookupError(),
        module.layers(),
        module.noise(),
        module.outputDeviation(),
        module.millisecondsPerLookup(),
        module.millisecondsPerLookup() * module.lookups() * rows,
        parameters.evaluationKeyBytes(),
        module.bytesUpPerRow() * rows,
        module.bytesDownPerRow() * rows,
        module.candidates(),
        leakage(module));
  }

  private static List<Integer> stages(String circuit, ClientSpecs specs) {
    return specs.remote().stream()
        .filter(call -> call.circuit().equals(circuit))
        .map(RemoteCallSpec::stage)
        .toList();
  }

  private static CompileReport.LeveledModule leveled(
      CompiledLeveled module,
      EngineChoice engine,
      ClientSpecs specs,
      Calibration.Result calibration) {
    RowSample sample = calibration.samples().get(module.module());
    List<Integer> stages = stages(module.module(), specs);
    double rows = NonLinearModules.rowsPerRecord(sample, stages.size(), calibration.records());
    double blocksPerRecord = module.blocks(engine.rows()) * rows / engine.rows();
    LeveledParameters parameters = module.parameters();
    return new CompileReport.LeveledModule(
        module.module(),
        engine,
        stages,
        module.inputs(),
        module.outputs(),
        rows,
        sample.count(),
        sample.maxAbs(),
        module.ball().radius(),
        parameters,
        (parameters.levels() + 1) * LeveledParameters.PRIME_BITS,
        module.log2SecureModulus(),
        module.layers(),
        module.error(),
        module.allowedError(),
        module.failure().log2PerValue(),
        module.millisecondsPerBlock(),
        module.millisecondsPerBlock() * blocksPerRecord,
        parameters.evaluationKeyBytes(),
        module.bytesUpPerBlock(),
        module.bytesDownPerBlock(),
        module.bytesUpPerBlock() * blocksPerRecord,
        module.bytesDownPerBlock() * blocksPerRecord,
        module.candidates(),
        leakage(module));
  }

  private static String leakage(CompiledLeveled module) {
    return "a client that scores with this module gets "
        + module.outputs()
        + " numbers a row, wrong by about "
        + "%.1g".formatted(module.error())
        + " of their spread, in ciphertexts it has the key of. The numbers are polynomials of the"
        + " row, of which no block gives the weights by linear algebra as that of a linear module"
        + " does; more is not claimed. Results are not re-randomised: their noise depends on the"
        + " weights and on values inside the module, and what it tells the holder of the key beside"
        + " the numbers is not known. With enough rows of its choice, also such as no record makes,"
        + " a client can train a model that answers alike, and with very many solve for a small"
        + " network. Limit how many records a client may score where that matters. client.json"
        + " publishes shapes, the ring, mean and spread of each input over the calibration rows,"
        + " their largest distance from the mean, the proven range of each output and the scale of"
        + " the first layer, and no weight";
  }

  private static String leakage(CompiledLookups module) {
    return "a client that scores with this module gets "
        + module.outputs()
        + " numbers a row, blurred by at least "
        + "%.1g".formatted(module.outputDeviation())
        + " of their range, in ciphertexts it has the key of. The numbers are no linear function of"
        + " the weights, so that no block gives the weights by linear algebra as that of a linear"
        + " module does; more is not claimed. Results are not re-randomised: their masks and noise"
        + " depend on the weights and on values inside the module, and what they tell the holder of"
        + " the key beside the numbers is not known. With enough rows of its choice, also such as no"
        + " record makes, a client can train a model that answers alike, and work out small networks"
        + " of rectifiers from answers near their kinks; the blur is no protection, for it averages"
        + " out over repetitions. Limit how many records a client may score where that matters."
        + " client.json publishes shapes, the number of look-ups, the scale of activations, scale"
        + " and middle of each output's range and three norms of the packed layer's integers, and no"
        + " weight";
  }

  private static CompileReport.CalibratedInput input(
      CompiledCircuit circuit, String tensor, ActivationStatistics seen, QuantizationMode mode) {
    int bits = circuit.choice().activationBits();
    float scale = circuit.quantization(seen, mode).staticScale();
    return new CompileReport.CalibratedInput(
        tensor,
        seen.records(),
        seen.maxAbs(),
        scale == 0 ? null : scale,
        Histogram.of(seen.maxAbs(), seen.maxNormHistogram(BINS)),
        circuit.fixed().isPresent()
            ? null
            : Histogram.of(seen.estimatedErrors(bits, mode), seen.sampleWeights(), BINS));
  }

  private static String leakage(CompiledCircuit circuit, AffineCall layer) {
    PackedParameters parameters = circuit.choice().parameters();
    WeightAttack attack =
        new WeightAttack(
            CircuitDigest.of(circuit.circuit()), parameters, circuit.dIn(), circuit.dOut());
    String published =
        "; client.json itself publishes the scale of each output's weights (with the integers, that"
            + " is the float weights), three norms of the integers"
            + (layer.biases().isPresent() ? " and the bias" : "");
    String asked =
        "records of its choice, which fhe-spark attack makes and which need not come from any"
            + " activations, give it "
            + attack.weightsPerRecord()
            + " weights of each output a record, and "
            + attack.recordsNeeded()
            + " such records all "
            + layer.dIn()
            + " of each output";
    if (parameters.protectsWeights()) {
      int bits = circuit.weightBits().stream().mapToInt(Integer::intValue).max().orElseThrow();
      int told = parameters.toldBits();
      return "results are re-randomised (--protect-weights): to a client whose public key keygen"
          + " made, their masks are pseudo-random whatever the weights are, and what a result tells"
          + " beside its noise is about "
          + told
          + " bits. A client can still work out the weights: "
          + asked
          + "; no way to ask can need fewer than about "
          + (layer.dIn() * bits + told - 1) / told
          + " records for weights of "
          + bits
          + " bits that are as good as random. A record here is a row that is evaluated: of a"
          + " sequence or an image each token or window counts, and each repetition. Limit how many"
          + " there may be for a client; a public key made otherwise can tell its maker the"
          + " randomness that was added, and nobody sees that in it, so have somebody whom the"
          + " model's owner trusts run keygen"
          + published;
    }
    return "a client that scores with this module can work out its weights: it knows the masks and"
        + " receives masks times weights, so a block of even one record gives it "
        + parameters.lweDimension()
        + " equations for the "
        + layer.dIn()
        + " weights of each output"
        + (attack.masksAreEquations()
            ? ", which elimination solves, as fhe-spark attack shows"
            : parameters.outputLimbs() < parameters.limbs()
                ? ", rounded here, so that it takes lattice reduction to solve them"
                : "")
        + "; also, "
        + asked
        + (attack.recordsNeeded() <= parameters.maxRecords() ? ", in one block" : "")
        + ". Neither fewer output bits nor a query budget hides them; compile --protect-weights"
        + " takes away the equations and leaves a budget to set, and a remote part with a"
        + " non-linearity keeps them from being read off so, so keep out of the client's reach what"
        + " must stay secret"
        + published;
  }
}
