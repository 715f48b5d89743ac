package org.fhespark.compiler;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.leveled.CompiledLeveled;
import org.fhespark.compiler.leveled.LeveledCompiler;
import org.fhespark.compiler.leveled.NotLeveledException;
import org.fhespark.compiler.lookups.CompiledLookups;
import org.fhespark.compiler.lookups.LookupCompiler;
import org.fhespark.compiler.lookups.LookupRegion;
import org.fhespark.compiler.lookups.RowSample;
import org.fhespark.compiler.onnx.Constants;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.quantize.ActivationStatistics;
import org.fhespark.compiler.quantize.Calibration;
import org.fhespark.compiler.quantize.FixedQuantization;
import org.fhespark.compiler.split.RemoteModule;
import org.fhespark.nativelib.Quantization;

/** Compiles remote modules that have non-linearities, each by the engine that suits it. */
final class NonLinearModules {
  /**
   * Ranges inside a module that rest on fewer rows of calibration are not trusted, and the engine
   * is the one that needs least of them.
   */
  static final long FEW_ROWS = 100;

  private final OnnxModel model;
  private final Calibration.Result seen;
  private final CompileOptions options;
  private final Map<String, EngineChoice> choices = new LinkedHashMap<>();

  private NonLinearModules(OnnxModel model, Calibration.Result seen, CompileOptions options) {
    this.model = model;
    this.seen = seen;
    this.options = options;
  }

  /**
   * What they became.
   *
   * @param lookups those with look-ups
   * @param leveled those on encrypted numbers
   * @param choices of both, by their keys
   */
  record Compiled(
      List<CompiledLookups> lookups,
      List<CompiledLeveled> leveled,
      Map<String, EngineChoice> choices) {}

  /**
   * Compiles those of some modules that have non-linearities.
   *
   * @throws InvalidInputException if one cannot be, or not by the engine that was asked for
   */
  static Compiled compile(
      OnnxModel model,
      List<RemoteModule> modules,
      Calibration.Result seen,
      CompileOptions options) {
    NonLinearModules compiler = new NonLinearModules(model, seen, options);
    List<CompiledLeveled> leveled = new ArrayList<>();
    List<LookupCompiler.Request> lookups = new ArrayList<>();
    for (RemoteModule module : modules) {
      if (module.isNonLinear()) {
        compiler
            .leveled(module)
            .ifPresentOrElse(leveled::add, () -> lookups.add(compiler.lookups(module)));
      }
    }
    List<CompiledLookups> compiled = lookups.isEmpty() ? List.of() : compiler.compile(lookups);
    for (RemoteModule module : modules) {
      compiled.stream()
          .filter(circuit -> circuit.module().equals(module.key()))
          .forEach(circuit -> compiler.estimate(module, circuit));
    }
    return new Compiled(compiled, leveled, compiler.choices);
  }

  /** Says how long look-ups will take where engines were not compared. */
  private void estimate(RemoteModule module, CompiledLookups circuit) {
    EngineChoice choice = choices.get(module.key());
    if (choice.pbsMilliseconds() == null) {
      double pbs = milliseconds(circuit, choice.rows());
      choose(
          module,
          choice.chosen(),
          pbs,
          null,
          String.format(
              Locale.ROOT,
              "%s; %,d row%s with it",
              choice.why(),
              choice.rows(),
              taking(choice.rows(), pbs)));
    }
  }

  private static String taking(long rows, double milliseconds) {
    return (rows == 1 ? " takes " : "s take ") + duration(milliseconds);
  }

  private RowSample sample(RemoteModule module) {
    return seen.samples().get(module.key());
  }

  /** Rows of a block of the expected batch. */
  private long rows(RemoteModule module) {
    return (long)
        Math.ceil(
            options.expectedBatch()
                * rowsPerRecord(sample(module), module.lookups().size(), seen.records()));
  }

  /** Rows that a record makes in a call, on average. */
  static double rowsPerRecord(RowSample sample, int calls, long records) {
    return Math.max(1, (double) sample.count() / calls / Math.max(1, records));
  }

  /** The module on encrypted numbers, if that is its engine. */
  private Optional<CompiledLeveled> leveled(RemoteModule module) {
    return switch (options.engine(module.key())) {
      case PBS -> {
        choose(module, Engine.PBS, null, null, "it was asked for");
        yield Optional.empty();
      }
      case SIMD -> Optional.of(asked(module));
      case AUTO -> faster(module);
    };
  }

  private void choose(RemoteModule module, Engine chosen, Double pbs, Double simd, String why) {
    choices.put(
        module.key(),
        new EngineChoice(options.engine(module.key()), chosen, rows(module), pbs, simd, why));
  }

  private CompiledLeveled asked(RemoteModule module) {
    if (options.sums() > 1) {
      throw new InvalidInputException(
          "module '"
              + module.key()
              + "': the results of --engine simd cannot be added: compile it without --sums");
    }
    if (options.protectWeights()) {
      throw new InvalidInputException(
          "module '"
              + module.key()
              + "': the results of --engine simd are not re-randomised: compile it without"
              + " --protect-weights");
    }
    try {
      CompiledLeveled leveled = LeveledCompiler.compile(model, request(module));
      choose(module, Engine.SIMD, null, milliseconds(leveled, rows(module)), "it was asked for");
      return leveled;
    } catch (NotLeveledException reason) {
      throw new InvalidInputException(
          "module '"
              + module.key()
              + "' cannot be computed by --engine simd: "
              + reason.getMessage()
              + "; name a remote module of fewer layers, allow a larger error (--simd-error), or"
              + " compile it with --engine pbs",
          reason);
    }
  }

  private Optional<CompiledLeveled> faster(RemoteModule module) {
    Optional<String> obstacle = obstacle(module);
    if (obstacle.isPresent()) {
      choose(module, Engine.PBS, null, null, "simd was not considered: " + obstacle.get());
      return Optional.empty();
    }
    CompiledLeveled leveled;
    try {
      leveled = LeveledCompiler.compile(model, request(module));
    } catch (NotLeveledException reason) {
      choose(module, Engine.PBS, null, null, "simd cannot compute it: " + reason.getMessage());
      return Optional.empty();
    }
    long rows = rows(module);
    double simd = milliseconds(leveled, rows);
    double pbs;
    try {
      pbs = milliseconds(compile(List.of(lookups(module))).get(0), rows);
    } catch (InvalidInputException none) {
      choose(module, Engine.SIMD, null, simd, "look-ups cannot compute it: " + none.getMessage());
      return Optional.of(leveled);
    }
    Engine chosen = simd < pbs ? Engine.SIMD : Engine.PBS;
    choose(
        module,
        chosen,
        pbs,
        simd,
        String.format(
            Locale.ROOT,
            "%,d row%s with simd, in blocks of %,d that cost the same however full, and %s"
                + " with pbs",
            rows,
            taking(rows, simd),
            leveled.slots(),
            duration(pbs)));
    return chosen == Engine.SIMD ? Optional.of(leveled) : Optional.empty();
  }

  private Optional<String> obstacle(RemoteModule module) {
    if (options.sums() > 1) {
      return Optional.of("its results cannot be added (--sums)");
    }
    if (options.protectWeights()) {
      return Optional.of("its results are not re-randomised (--protect-weights)");
    }
    long rows = sample(module).count();
    return rows < FEW_ROWS
        ? Optional.of("its ranges would rest on " + rows + " rows of calibration")
        : Optional.empty();
  }

  private static String duration(double milliseconds) {
    return milliseconds < 1000
        ? String.format(Locale.ROOT, "%.3g ms", milliseconds)
        : String.format(Locale.ROOT, "%,.1f s", milliseconds / 1000);
  }

  private double wire(double bytes) {
    return bytes * options.costs().wireByte() / 1e6;
  }

  private double milliseconds(CompiledLeveled module, long rows) {
    return module.blocks(rows)
        * (module.millisecondsPerBlock()
            + wire(module.bytesUpPerBlock() + module.bytesDownPerBlock()));
  }

  private double milliseconds(CompiledLookups module, long rows) {
    return rows
        * (module.millisecondsPerLookup() * module.lookups()
            + wire(module.bytesUpPerRow() + module.bytesDownPerRow()));
  }

  private LeveledCompiler.Request request(RemoteModule module) {
    return new LeveledCompiler.Request(
        module.key(),
        module.lookups(),
        sample(module),
        options.simdError(),
        options.log2PError(),
        rows(module));
  }

  private LookupCompiler.Request lookups(RemoteModule module) {
    if (options.sums() > 1) {
      throw new InvalidInputException(
          "module '"
              + module.key()
              + "' needs look-ups, whose results cannot be added: compile it without --sums");
    }
    RowSample sample = sample(module);
    Optional<FixedQuantization> fixed =
        FixedQuantization.ofAll(
            model.graph(),
            new Constants(model),
            module.lookups().stream().map(LookupRegion::input).distinct().toList());
    int bits = options.activationBits(module.key()).orElse(CompileOptions.LOOKUP_ACTIVATION_BITS);
    return new LookupCompiler.Request(
        module.key(),
        module.lookups(),
        sample,
        fixed
            .map(own -> new Quantization(own.activationBits(), own.scale()))
            .orElseGet(
                () ->
                    new Quantization(
                        bits, ActivationStatistics.staticScale(sample.maxAbs(), bits))),
        options.weightBits(module.key()));
  }

  private List<CompiledLookups> compile(List<LookupCompiler.Request> requests) {
    return LookupCompiler.compile(
        model, requests, new LookupCompiler.Accuracy(options.lookupError(), options.log2PError()));
  }
}
