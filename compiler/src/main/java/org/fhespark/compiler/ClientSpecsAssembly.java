package org.fhespark.compiler;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.EvaluationKeySpec;
import org.fhespark.compiler.artifact.LeveledSpec;
import org.fhespark.compiler.artifact.LookupSpec;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.SegmentSpec;
import org.fhespark.compiler.leveled.CompiledLeveled;
import org.fhespark.compiler.lookups.CompiledLookups;
import org.fhespark.compiler.onnx.ModelSignature;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.quantize.Calibration;
import org.fhespark.compiler.quantize.PaddingMask;
import org.fhespark.compiler.split.GraphSplit;
import org.fhespark.compiler.split.LookupCall;
import org.fhespark.compiler.split.RemoteCall;
import org.fhespark.compiler.split.Segment;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.LeveledParameters;

/** Says in client.json what the other parts of the compiler decided. */
final class ClientSpecsAssembly {
  private ClientSpecsAssembly() {}

  /** The file of a segment, relative to the artefact. */
  static String file(Segment segment) {
    return "segments/%03d.onnx".formatted(segment.stage());
  }

  static ClientSpecs of(
      OnnxModel model,
      ModelSignature signature,
      GraphSplit split,
      List<CompiledCircuit> circuits,
      NonLinearModules.Compiled nonLinear,
      Calibration.Result calibration,
      Optional<PaddingMask> mask,
      CompileOptions options) {
    List<SegmentSpec> segments =
        split.segments().stream()
            .map(
                segment ->
                    new SegmentSpec(
                        segment.stage(), file(segment), segment.inputs(), segment.outputs()))
            .toList();
    List<RemoteCallSpec> remote = new ArrayList<>();
    for (CompiledCircuit circuit : circuits) {
      String digest = CircuitDigest.of(circuit.circuit()).hex();
      for (int i = 0; i < circuit.stack().callCount(); i++) {
        remote.add(remoteCall(circuit, circuit.stack().call(i), digest, calibration, options));
      }
    }
    for (CompiledLookups module : nonLinear.lookups()) {
      String digest = CircuitDigest.of(module.circuit()).hex();
      for (LookupCall call : split.lookups()) {
        if (call.module().equals(module.module())) {
          remote.add(remoteCall(module, call, digest, calibration.skipsPadding(call)));
        }
      }
    }
    for (CompiledLeveled module : nonLinear.leveled()) {
      String digest = CircuitDigest.of(module.circuit()).hex();
      for (LookupCall call : split.lookups()) {
        if (call.module().equals(module.module())) {
          remote.add(remoteCall(module, call, digest, calibration.skipsPadding(call)));
        }
      }
    }
    remote.sort(Comparator.comparingInt(RemoteCallSpec::stage));
    return new ClientSpecs(
        ArtifactJson.FORMAT_VERSION,
        model.digest(),
        signature.inputs(),
        signature.outputs(),
        calibration.skipsPadding() ? mask.map(PaddingMask::input).orElseThrow() : null,
        calibration.paddingSides().stream().sorted().toList(),
        segments,
        remote,
        remote.stream()
            .filter(spec -> !spec.isLeveled())
            .map(spec -> spec.parameters().secretKeyShape())
            .distinct()
            .toList(),
        nonLinear.lookups().stream()
            .map(module -> module.parameters().lweDimension())
            .distinct()
            .toList(),
        evaluationKeys(nonLinear),
        options.log2PError());
  }

  /** A key of a ring has the levels of the circuit that needs most of them. */
  private static List<EvaluationKeySpec> evaluationKeys(NonLinearModules.Compiled nonLinear) {
    Map<Integer, LeveledParameters> rings = new TreeMap<>();
    for (CompiledLeveled module : nonLinear.leveled()) {
      rings.merge(
          module.parameters().polynomialSize(),
          module.parameters(),
          (a, b) -> a.levels() >= b.levels() ? a : b);
    }
    return Stream.concat(
            nonLinear.lookups().stream()
                .map(
                    module ->
                        EvaluationKeySpec.ofLookups(
                            module.parameters(), module.packed().secretKeyShape()))
                .distinct(),
            rings.values().stream().map(EvaluationKeySpec::ofLeveled))
        .toList();
  }

  private static RemoteCallSpec remoteCall(
      CompiledLeveled module, LookupCall call, String digest, boolean skipsPadding) {
    return new RemoteCallSpec(
        module.module(),
        call.stage(),
        call.region().input(),
        null,
        List.of(new CallOutput(module.module(), call.region().output(), module.outputs())),
        skipsPadding,
        module.inputs(),
        module.outputs(),
        digest,
        null,
        null,
        null,
        null,
        null,
        Byte.SIZE,
        module.failure().log2PerValue(),
        module.failure().marginBits(),
        null,
        new LeveledSpec(
            module.parameters(),
            module.chain().inputScale(),
            module.chain().outputScale(),
            module.ball().center(),
            module.ball().spread(),
            module.ball().radius(),
            module.outputRanges(),
            module.recordShape(),
            module.outputShape()));
  }

  private static RemoteCallSpec remoteCall(
      CompiledLookups module, LookupCall call, String digest, boolean skipsPadding) {
    return new RemoteCallSpec(
        module.module(),
        call.stage(),
        call.region().input(),
        null,
        List.of(new CallOutput(module.module(), call.region().output(), module.outputs())),
        skipsPadding,
        module.inputs(),
        module.outputs(),
        digest,
        module.packed(),
        module.norms(),
        module.quantization(),
        new float[0],
        module.bias(),
        module.weightBits(),
        module.failure().log2PerValue(),
        module.failure().marginBits(),
        new LookupSpec(
            module.parameters(),
            module.packedOutputs(),
            module.lookups(),
            module.outputScales(),
            module.recordShape(),
            module.outputShape()),
        null);
  }

  private static RemoteCallSpec remoteCall(
      CompiledCircuit circuit,
      List<RemoteCall> calls,
      String digest,
      Calibration.Result calibration,
      CompileOptions options) {
    AffineCall first = calls.get(0).call();
    return new RemoteCallSpec(
        circuit.stack().name(),
        calls.get(0).stage(),
        first.input(),
        first.unfolding().orElse(null),
        calls.stream()
            .map(call -> new CallOutput(call.module(), call.call().output(), call.call().dOut()))
            .toList(),
        calibration.skipsPadding(first),
        circuit.dIn(),
        circuit.dOut(),
        digest,
        circuit.choice().parameters(),
        circuit.norms(),
        circuit.quantization(calibration.of(first), options.quantization()),
        circuit.weightScales(),
        bias(circuit, calls),
        circuit.weightBits().stream().mapToInt(Integer::intValue).max().orElseThrow(),
        circuit.failure().log2PerValue(),
        circuit.failure().marginBits(),
        null,
        null);
  }

  /** The biases of a stack's modules, 0 for those that have none; null if none has one. */
  private static float[] bias(CompiledCircuit circuit, List<RemoteCall> calls) {
    if (calls.stream().noneMatch(call -> call.call().biases().isPresent())) {
      return null;
    }
    float[] all = new float[circuit.dOut()];
    int at = 0;
    for (RemoteCall call : calls) {
      float[] own = call.call().biases().orElse(new float[call.call().dOut()]);
      System.arraycopy(own, 0, all, at, own.length);
      at += own.length;
    }
    return all;
  }
}
