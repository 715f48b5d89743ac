package org.fhespark.compiler;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.CompiledFolder;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.lookups.CompiledLookups;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.Constants;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.ModelSignature;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.onnx.TrainingMode;
import org.fhespark.compiler.quantize.Calibration;
import org.fhespark.compiler.quantize.CalibrationBatch;
import org.fhespark.compiler.quantize.FixedQuantization;
import org.fhespark.compiler.quantize.PaddingMask;
import org.fhespark.compiler.report.HtmlReport;
import org.fhespark.compiler.split.GraphSplit;
import org.fhespark.compiler.split.RemoteModule;
import org.fhespark.compiler.split.RemoteModules;
import org.fhespark.compiler.split.SplitPlan;
import org.fhespark.nativelib.LookupRanges;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compiles an ONNX model with named remote modules: import, split, calibrate, quantise, choose
 * parameters, build circuits, write artefacts.
 */
public final class ModelCompiler {
  private static final Logger LOG = LoggerFactory.getLogger(ModelCompiler.class);

  private final Configuration configuration;

  /**
   * A compiler.
   *
   * @param configuration of the file systems of models and artefacts
   */
  public ModelCompiler(Configuration configuration) {
    this.configuration = configuration;
  }

  /**
   * Compiles a model and writes client/, server/, report.json and report.html.
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
    return compile(
        onnx,
        (model, exposed, split, mask) ->
            Calibration.run(model, exposed, split.calls(), split.lookups(), mask, calibration),
        mask -> List.of(),
        options,
        out);
  }

  /**
   * As above, with statistics that mode CALIBRATE gathered in place of records. What records would
   * have shown goes unchecked, and the report says so.
   *
   * @throws InvalidInputException also if the statistics are another model's, or do not cover a
   *     remote call
   */
  public CompileReport compile(
      Path onnx, CalibrationStatistics statistics, CompileOptions options, Path out) {
    return compile(
        onnx,
        (model, exposed, split, mask) -> {
          if (!split.lookups().isEmpty()) {
            throw new InvalidInputException(
                "module '"
                    + split.lookups().get(0).module()
                    + "' has non-linearities, and the ranges inside it are found on calibration"
                    + " records: give records (--calibration DATA) and not statistics");
          }
          return Calibration.of(statistics, model, split.calls(), mask);
        },
        ModelCompiler::uncheckedWithoutRecords,
        options,
        out);
  }

  private static List<String> uncheckedWithoutRecords(Optional<PaddingMask> mask) {
    List<String> unchecked = new ArrayList<>();
    unchecked.add(
        "whether each remote call computes what the float model does: of the calls that were remote in"
            + " the compilation that the statistics were gathered with, that compilation checked it,"
            + " on its own records");
    if (mask.isPresent()) {
      unchecked.add(
          "whether padding can be skipped: it is where the client that gathered the statistics"
              + " skips it");
    }
    unchecked.add("that every record can be run: its columns, lengths and values");
    return unchecked;
  }

  /** Modules with non-linearities whose ranges rest on too few rows to be trusted. */
  private static Stream<String> fewRows(
      List<RemoteModule> modules, Map<String, EngineChoice> choices, Calibration.Result seen) {
    return modules.stream()
        .filter(RemoteModule::isNonLinear)
        .map(RemoteModule::key)
        .filter(module -> seen.samples().get(module).count() < NonLinearModules.FEW_ROWS)
        .map(
            module ->
                "whether module '"
                    + module
                    + fewRows(choices.get(module).chosen(), seen.samples().get(module).count())
                    + "; calibrate with hundreds");
  }

  private static String fewRows(Engine engine, long rows) {
    return engine == Engine.SIMD
        ? "' reads records like those that it was calibrated with: they were "
            + rows
            + " rows, and what lies farther out is drawn towards them"
        : "' stays in the ranges of its look-ups: they rest on "
            + rows
            + " rows, and values beyond them are read wrongly";
  }

  /** Finds out about the activations that remote calls read. */
  @FunctionalInterface
  private interface Calibrator {
    Calibration.Result calibrate(
        OnnxModel model, ExposedModel exposed, GraphSplit split, Optional<PaddingMask> mask);
  }

  private CompileReport compile(
      Path onnx,
      Calibrator calibrator,
      Function<Optional<PaddingMask>, List<String>> unchecked,
      CompileOptions options,
      Path out) {
    CompiledFolder folder = CompiledFolder.at(out, configuration);
    OnnxModel model = OnnxModel.load(onnx, configuration);
    ModuleTree tree = ModuleTree.of(model);
    List<RemoteModule> modules = RemoteModules.find(tree, options.remoteModules());
    TrainingMode.requireNone(model);
    options.requireRemote(modules.stream().map(RemoteModule::key).toList());
    SplitPlan plan = SplitPlan.of(model, modules);
    try (ExposedModel exposed = new ExposedModel(model, plan.boundaryTensors())) {
      ModelSignature signature = ModelSignature.of(model, exposed);
      GraphSplit split = GraphSplit.of(model, tree, modules, plan, exposed);
      Optional<PaddingMask> mask = PaddingMask.of(model, signature, options);
      Calibration.Result seen = calibrator.calibrate(model, exposed, split, mask);
      seen.harm().ifPresent(harm -> LOG.warn("padding is computed like all else: {}", harm));
      List<CompiledCircuit> circuits = circuits(model, modules, split, seen, options);
      NonLinearModules.Compiled nonLinear = NonLinearModules.compile(model, modules, seen, options);
      ClientSpecs specs =
          ClientSpecsAssembly.of(model, signature, split, circuits, nonLinear, seen, mask, options);
      CompileReport report =
          ReportAssembly.of(
              model,
              tree,
              exposed,
              specs,
              circuits,
              nonLinear,
              seen,
              mask,
              Stream.concat(
                      unchecked.apply(mask).stream(), fewRows(modules, nonLinear.choices(), seen))
                  .toList(),
              options);
      folder.replace(
          (files, target) -> {
            Map<String, byte[]> segments = new LinkedHashMap<>();
            split
                .segments()
                .forEach(
                    segment -> segments.put(ClientSpecsAssembly.file(segment), segment.model()));
            ClientArtifact.write(files, new Path(target, CompiledFolder.CLIENT), specs, segments);
            Map<String, byte[]> circuitFiles = new LinkedHashMap<>();
            circuits.forEach(
                circuit -> circuitFiles.put(circuit.stack().name(), circuit.circuit()));
            Map<String, LookupRanges> ranges = new LinkedHashMap<>();
            for (CompiledLookups module : nonLinear.lookups()) {
              circuitFiles.put(module.module(), module.circuit());
              ranges.put(module.module(), module.ranges());
            }
            nonLinear
                .leveled()
                .forEach(module -> circuitFiles.put(module.module(), module.circuit()));
            ServerArtifact.write(
                files,
                new Path(target, CompiledFolder.SERVER),
                model.digest(),
                circuitFiles,
                ranges,
                split.floatModules());
            files.write(new Path(target, CompiledFolder.REPORT_JSON), ArtifactJson.write(report));
            files.write(new Path(target, CompiledFolder.REPORT_HTML), HtmlReport.of(report));
          });
      LOG.info(
          "compiled {} modules of {} to {} circuits: {} clear segments, {} remote stages",
          modules.size(),
          model.file(),
          circuits.size() + nonLinear.lookups().size() + nonLinear.leveled().size(),
          report.segments(),
          report.stages());
      return report;
    }
  }

  private static List<CompiledCircuit> circuits(
      OnnxModel model,
      List<RemoteModule> modules,
      GraphSplit split,
      Calibration.Result seen,
      CompileOptions options) {
    Constants constants = new Constants(model);
    List<CompiledCircuit> circuits = new ArrayList<>();
    List<RemoteModule> packed = modules.stream().filter(module -> !module.isNonLinear()).toList();
    for (CircuitStack stack : CircuitStack.of(packed, split.calls(), options)) {
      Optional<FixedQuantization> fixed =
          FixedQuantization.ofAll(model.graph(), constants, stack.inputs());
      circuits.add(CompiledCircuit.of(stack, seen, fixed, options));
    }
    return circuits;
  }
}
