package org.fhespark.compiler;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.CompiledFolder;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.SegmentSpec;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.modules.LinearCall;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.ModelSignature;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.parameters.BlockWork;
import org.fhespark.compiler.parameters.FailureProbability;
import org.fhespark.compiler.parameters.ParameterChoice;
import org.fhespark.compiler.quantize.ActivationStatistics;
import org.fhespark.compiler.quantize.Calibration;
import org.fhespark.compiler.quantize.CalibrationBatch;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.compiler.quantize.QuantizedWeights;
import org.fhespark.compiler.split.GraphSplit;
import org.fhespark.compiler.split.RemoteCall;
import org.fhespark.compiler.split.RemoteModule;
import org.fhespark.compiler.split.RemoteModules;
import org.fhespark.compiler.split.Segment;
import org.fhespark.compiler.split.SplitPlan;
import org.fhespark.compiler.storage.Sha256;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compiles an ONNX model with named remote modules: import, split, quantise, choose parameters,
 * build circuits, write artefacts.
 */
public final class ModelCompiler {
  private static final Logger LOG = LoggerFactory.getLogger(ModelCompiler.class);
  private static final double MASK_SEED_BYTES = 16;

  private final Configuration configuration;

  /**
   * A compiler.
   *
   * @param configuration of the file systems of models and artefacts
   */
  public ModelCompiler(Configuration configuration) {
    this.configuration = configuration;
  }

  /** A quantised module and the circuit made of it. */
  private record Compiled(
      RemoteModule module,
      QuantizedWeights weights,
      ParameterChoice choice,
      FailureProbability failure,
      byte[] circuit) {
    int dIn() {
      return module.layer().dIn();
    }

    int dOut() {
      return module.layer().dOut();
    }
  }

  /**
   * Compiles a model and writes client/, server/ and report.json.
   *
   * @param onnx the model
   * @param calibration representative records, read once
   * @param out a folder that does not exist, is empty, or holds a compiled model, which is replaced
   * @return what report.json says
   * @throws InvalidInputException if the model, a module, the data, an option or the folder will
   *     not do; the folder is then as it was
   */
  public CompileReport compile(
      Path onnx, Iterable<CalibrationBatch> calibration, CompileOptions options, Path out) {
    CompiledFolder folder = CompiledFolder.at(out, configuration);
    OnnxModel model = OnnxModel.load(onnx, configuration);
    ModuleTree tree = ModuleTree.of(model);
    List<RemoteModule> modules = RemoteModules.find(tree, options.remoteModules());
    SplitPlan plan = SplitPlan.of(model, modules);
    try (ExposedModel exposed = new ExposedModel(model, plan.boundaryTensors())) {
      ModelSignature signature = ModelSignature.of(model, exposed);
      GraphSplit split = GraphSplit.of(model, tree, modules, plan, exposed);
      Map<String, QuantizedWeights> weights = quantize(model, modules, options);
      Map<String, ActivationStatistics> statistics =
          Calibration.run(model, exposed, split.calls(), calibration);
      Map<String, Compiled> compiled =
          buildCircuits(modules, weights, split.calls(), statistics, options);
      Map<String, byte[]> segments = new LinkedHashMap<>();
      ClientSpecs specs =
          clientSpecs(model, signature, split, segments, compiled, statistics, options);
      CompileReport report = report(model, specs, compiled, statistics, options);
      Map<String, byte[]> circuits = new LinkedHashMap<>();
      compiled.forEach((key, module) -> circuits.put(key, module.circuit));
      folder.replace(
          (files, target) -> {
            ClientArtifact.write(files, new Path(target, CompiledFolder.CLIENT), specs, segments);
            ServerArtifact.write(
                files,
                new Path(target, CompiledFolder.SERVER),
                model.digest(),
                circuits,
                split.floatModules());
            files.write(new Path(target, CompiledFolder.REPORT_JSON), ArtifactJson.write(report));
          });
      LOG.info(
          "compiled {} of {}: {} clear segments, {} remote stages",
          compiled.keySet(),
          model.file(),
          report.segments(),
          report.stages());
      return report;
    }
  }

  private static Map<String, QuantizedWeights> quantize(
      OnnxModel model, List<RemoteModule> modules, CompileOptions options) {
    Map<String, QuantizedWeights> weights = new LinkedHashMap<>();
    for (RemoteModule module : modules) {
      LinearCall layer = module.layer();
      weights.put(
          module.key(),
          QuantizedWeights.quantize(
              module.key(),
              layer.weights(model.graph()),
              layer.dIn(),
              layer.dOut(),
              options.weightBits()));
    }
    return weights;
  }

  private static Map<String, Compiled> buildCircuits(
      List<RemoteModule> modules,
      Map<String, QuantizedWeights> weights,
      List<RemoteCall> calls,
      Map<String, ActivationStatistics> statistics,
      CompileOptions options) {
    Map<String, Compiled> compiled = new LinkedHashMap<>();
    modules.forEach(module -> compiled.put(module.key(), null));
    for (EncryptionGroup group : EncryptionGroup.of(modules, calls)) {
      ParameterChoice choice = group.chooseParameters(weights, statistics, options);
      for (RemoteModule module : group.modules()) {
        QuantizedWeights quantized = weights.get(module.key());
        byte[] circuit =
            PackedCircuit.encode(
                choice.parameters(),
                module.key(),
                module.layer().dIn(),
                module.layer().dOut(),
                quantized.values());
        compiled.put(
            module.key(),
            new Compiled(
                module,
                quantized,
                choice,
                FailureProbability.of(choice.parameters(), quantized.norms(), options.log2PError()),
                circuit));
      }
    }
    return compiled;
  }

  private static ClientSpecs clientSpecs(
      OnnxModel model,
      ModelSignature signature,
      GraphSplit split,
      Map<String, byte[]> segmentFiles,
      Map<String, Compiled> compiled,
      Map<String, ActivationStatistics> statistics,
      CompileOptions options) {
    List<SegmentSpec> segments = new ArrayList<>();
    for (Segment segment : split.segments()) {
      String file = "segments/%03d.onnx".formatted(segment.stage());
      segmentFiles.put(file, segment.model());
      segments.add(new SegmentSpec(segment.stage(), file, segment.inputs(), segment.outputs()));
    }
    List<RemoteCallSpec> remote = new ArrayList<>();
    for (RemoteCall call : split.calls()) {
      Compiled module = compiled.get(call.module());
      int activationBits = module.choice.activationBits();
      float staticScale =
          options.quantization() == QuantizationMode.STATIC
              ? statistics.get(call.call().input()).staticScale(activationBits)
              : 0f;
      remote.add(
          new RemoteCallSpec(
              call.module(),
              call.stage(),
              call.call().input(),
              null,
              List.of(new CallOutput(call.module(), call.call().output(), module.dOut())),
              false,
              module.dIn(),
              module.dOut(),
              CircuitDigest.of(module.circuit).hex(),
              module.choice.parameters(),
              module.weights.norms(),
              new Quantization(activationBits, staticScale),
              module.weights.scales(),
              call.call().biases(model.graph()).orElse(null),
              module.weights.bits(),
              module.failure.log2PerValue(),
              module.failure.marginBits()));
    }
    return new ClientSpecs(
        ArtifactJson.FORMAT_VERSION,
        model.digest(),
        signature.inputs(),
        signature.outputs(),
        null,
        segments,
        remote,
        remote.stream().map(spec -> spec.parameters().secretKeyShape()).distinct().toList(),
        options.log2PError());
  }

  private static CompileReport report(
      OnnxModel model,
      ClientSpecs specs,
      Map<String, Compiled> compiled,
      Map<String, ActivationStatistics> statistics,
      CompileOptions options) {
    List<CompileReport.Module> modules = new ArrayList<>();
    compiled.forEach(
        (key, module) -> {
          List<RemoteCallSpec> calls =
              specs.remote().stream().filter(spec -> spec.circuit().equals(key)).toList();
          PackedParameters parameters = module.choice.parameters();
          int records = options.expectedBatch();
          BlockWork work =
              BlockWork.of(
                  parameters, records, new BlockWork.Layer(1, module.dIn(), module.dOut()));
          modules.add(
              new CompileReport.Module(
                  key,
                  calls.stream().map(RemoteCallSpec::stage).toList(),
                  module.dIn(),
                  module.dOut(),
                  module.weights.bits(),
                  module.choice.activationBits(),
                  options.quantization(),
                  calls.stream().mapToLong(call -> statistics.get(call.input()).records()).sum(),
                  (float)
                      calls.stream()
                          .mapToDouble(call -> statistics.get(call.input()).maxAbs())
                          .max()
                          .orElseThrow(),
                  parameters,
                  parameters.lweDimension(),
                  parameters.log2Modulus(),
                  module.failure.log2PerValue(),
                  module.failure.marginBits(),
                  (work.bytesUp() + MASK_SEED_BYTES) / ((double) records * module.dIn()),
                  work.bytesDown() / ((double) records * module.dOut()),
                  module.choice.cost().total(),
                  module.choice.cost().perRecord(records),
                  module.choice.coversWorstCase(),
                  module.choice.policy(),
                  leakage(module, calls.get(0).bias() != null),
                  module.choice.candidates(),
                  module.choice.why(),
                  module.choice.alternatives()));
        });
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
        modules);
  }

  private static String leakage(Compiled module, boolean hasBias) {
    return "a client that scores with this module can work out its weights: it knows the masks and"
        + " receives masks times weights, so a block of even one record gives it "
        + module.choice.parameters().lweDimension()
        + " equations for the "
        + module.dIn()
        + " weights of each output, and neither fewer output bits nor a query budget hides them;"
        + " only a remote part with a non-linearity hides its weights, and this one has none, so"
        + " keep out of the client's reach what must stay secret; client.json itself publishes the"
        + " scale of each output's weights (with the integers, that is the float weights), three"
        + " norms of the integers"
        + (hasBias ? " and the bias" : "");
  }
}
