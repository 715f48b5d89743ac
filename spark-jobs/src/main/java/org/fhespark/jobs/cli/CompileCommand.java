package org.fhespark.jobs.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.Engine;
import org.fhespark.compiler.EngineChoice;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.compiler.leveled.LeveledFigures;
import org.fhespark.compiler.lookups.CompiledLookups;
import org.fhespark.compiler.parameters.Cost;
import org.fhespark.compiler.parameters.ParameterChoice;
import org.fhespark.compiler.parameters.ServerKernel;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.jobs.client.CalibrationTable;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.PackedParameters;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Compiles a model to circuits for the server and clear segments for the client. */
@Command(
    name = "compile",
    description =
        "Compiles remote modules to circuits: OUT/client, OUT/server, OUT/report.html, OUT/report.json.",
    mixinStandardHelpOptions = true)
final class CompileCommand implements Callable<Integer> {
  @Spec private CommandSpec command;
  @Mixin private SparkOptions sparkOptions;

  @Option(names = "--model", required = true, paramLabel = "M.onnx", description = "The model.")
  private Path model;

  @Option(
      names = "--remote",
      required = true,
      paramLabel = "KEY",
      description =
          "A module's named_modules() key, in which * stands for any characters but dots; . is the"
              + " whole model; may be repeated.")
  private List<String> remote;

  @ArgGroup(multiplicity = "1")
  private Activations activations;

  /** What tells of the activations that remote modules read. */
  private static final class Activations {
    @Option(
        names = "--calibration",
        paramLabel = "DATA",
        description = "Representative records: Parquet, CSV or JSON.")
    private Path calibration;

    @Option(
        names = "--statistics",
        paramLabel = "FILE",
        description =
            "In place of records: statistics that score --mode calibrate gathered with an artefact"
                + " of the same model.")
    private Path statistics;
  }

  @Option(names = "--out", required = true, paramLabel = "DIR", description = "The artefact.")
  private Path out;

  @Option(
      names = "--activation-bits",
      paramLabel = "[KEY=]auto|4..16",
      description =
          "Bits of activations, of all modules or of one; may be repeated (default: as many as 8"
              + " bits' parameters carry).")
  private List<String> activationBits = List.of();

  @Option(
      names = "--weight-bits",
      paramLabel = "[KEY=]2..8",
      description =
          "Bits of weights, of all modules or of one; may be repeated (default: 8, or those that a"
              + " model trained with quantisation has).")
  private List<String> weightBits = List.of();

  @Option(
      names = "--limbs",
      paramLabel = "[KEY=]3..7",
      description =
          "Bytes of the ciphertext modulus q, of all modules or of one; may be repeated (default:"
              + " what is cheapest). With too few for --p-error the result is secure but inexact:"
              + " judge it with score --mode simulate.")
  private List<String> limbs = List.of();

  @Option(
      names = "--padding-mask",
      paramLabel = "INPUT|none",
      description =
          "The model's input that is 0 where a sequence is padded (default: attention_mask, if"
              + " there is one): padding is not encrypted, where that changes no output.")
  private String paddingMask;

  @Option(
      names = "--quantization",
      paramLabel = "dynamic|static",
      defaultValue = "dynamic",
      description = "A scale per record, or one from calibration (default: ${DEFAULT-VALUE}).")
  private QuantizationMode quantization;

  @Option(
      names = "--p-error",
      paramLabel = "P",
      defaultValue = "2^-40",
      converter = PErrorConverter.class,
      description = "Probability of a wrong accumulator, per value (default: ${DEFAULT-VALUE}).")
  private double log2PError;

  @Option(
      names = "--lookup-error",
      paramLabel = "SHARE",
      description =
          "Noise of what look-ups read and of outputs, of modules with non-linearities: a standard"
              + " deviation, as a share of the range of values, up to 0.25 (default: 0.005).")
  private Double lookupError;

  @Option(
      names = "--engine",
      paramLabel = "[KEY=]auto|pbs|simd",
      description =
          "What computes modules with non-linearities, all of them or one; may be repeated. pbs: look-ups"
              + " by bootstrapping, row after row; simd: polynomials on encrypted numbers, thousands"
              + " of rows at a time (default: auto, the faster for the expected batch).")
  private List<String> engines = List.of();

  @Option(
      names = "--simd-error",
      paramLabel = "SHARE",
      description =
          "Error of outputs of modules that simd computes: root mean square, as a share of that of"
              + " their differences from their means (default: 0.02).")
  private Double simdError;

  @Option(
      names = "--sums",
      paramLabel = "M",
      description =
          "Results of a module that may be added before they are decrypted (default: 1, none)."
              + " Parameters leave room for the sum; all records then have one scale from"
              + " calibration.")
  private Integer sums;

  @Option(
      names = "--protect-weights",
      description =
          "Have executors re-randomise the results of linear modules under the client's public key,"
              + " so that a client needs many records of its choice to work out weights, not one;"
              + " results take longer, and masks cannot be prepared ahead.")
  private boolean protectWeights;

  @Option(
      names = "--expected-batch",
      paramLabel = "RECORDS",
      description =
          "Records expected in a block (default: 4096): parameters are the cheapest for such blocks."
              + " Blocks carry more where more come, but small ones cost far less if expected.")
  private Integer expectedBatch;

  @Option(
      names = "--server-kernel",
      paramLabel = "KERNEL",
      defaultValue = "avx512-vnni",
      description =
          "The executors' kernel, ${COMPLETION-CANDIDATES}: what work costs there; any executor can"
              + " run the result (default: ${DEFAULT-VALUE}).")
  private ServerKernel serverKernel;

  @Option(
      names = "--wire-gigabits",
      paramLabel = "GBIT/S",
      description =
          "Speed between client and executors, Spark's copies included (default: 8): what a byte"
              + " costs.")
  private Double wireGigabits;

  @Override
  public Integer call() throws IOException {
    CompileOptions options = options();
    SparkSession spark = sparkOptions.open("compile");
    try {
      print(compile(spark, options));
    } finally {
      spark.stop();
    }
    return 0;
  }

  private CompileReport compile(SparkSession spark, CompileOptions options) throws IOException {
    Configuration configuration = spark.sparkContext().hadoopConfiguration();
    ModelCompiler compiler = new ModelCompiler(configuration);
    if (activations.statistics != null) {
      return compiler.compile(
          model, CalibrationStatistics.read(activations.statistics, configuration), options, out);
    }
    try (CalibrationTable records = CalibrationTable.open(spark, model, activations.calibration)) {
      return compiler.compile(model, records.batches(), options, out);
    }
  }

  private CompileOptions options() {
    CompileOptions.Builder options =
        CompileOptions.remote(remote)
            .quantization(quantization)
            .serverKernel(serverKernel)
            .log2PError(log2PError);
    forEach(
        weightBits,
        bits -> number("--weight-bits", bits, "a number from 2 to 8"),
        options::weightBits,
        options::weightBits);
    forEach(
        activationBits,
        this::activationBits,
        bits -> bits.ifPresentOrElse(options::activationBits, options::automaticActivationBits),
        (key, bits) ->
            bits.ifPresentOrElse(
                value -> options.activationBits(key, value),
                () -> options.automaticActivationBits(key)));
    forEach(
        limbs,
        bytes -> number("--limbs", bytes, "a number from 3 to 7"),
        options::limbs,
        options::limbs);
    forEach(engines, this::engine, options::engine, options::engine);
    if (simdError != null) {
      options.simdError(simdError);
    }
    if (paddingMask != null) {
      options.paddingMask(paddingMask);
    }
    if (expectedBatch != null) {
      options.expectedBatch(expectedBatch);
    }
    if (sums != null) {
      options.sums(sums);
    }
    options.protectWeights(protectWeights);
    if (lookupError != null) {
      options.lookupError(lookupError);
    }
    if (wireGigabits != null) {
      options.wireGigabits(wireGigabits);
    }
    return options.build();
  }

  /**
   * Takes over values of all modules, or of one whose key stands before the last =.
   *
   * @param all what takes a value without a key
   * @param one what takes a key and its value
   */
  private static <V> void forEach(
      List<String> given, Function<String, V> parse, Consumer<V> all, BiConsumer<String, V> one) {
    for (String keyAndValue : given) {
      int equals = keyAndValue.lastIndexOf('=');
      V value = parse.apply(keyAndValue.substring(equals + 1));
      if (equals > 0) {
        one.accept(keyAndValue.substring(0, equals), value);
      } else {
        all.accept(value);
      }
    }
  }

  /** Empty for auto. */
  private OptionalInt activationBits(String value) {
    return value.equals("auto")
        ? OptionalInt.empty()
        : OptionalInt.of(number("--activation-bits", value, "auto nor a number from 4 to 16"));
  }

  private Engine engine(String value) {
    for (Engine engine : Engine.values()) {
      if (engine.label().equals(value)) {
        return engine;
      }
    }
    throw new ParameterException(
        command.commandLine(),
        "Invalid value for option '--engine': '" + value + "' is none of auto, pbs and simd");
  }

  private int number(String option, String value, String expected) {
    try {
      return Integer.parseInt(value);
    } catch (NumberFormatException error) {
      throw new ParameterException(
          command.commandLine(),
          "Invalid value for option '"
              + option
              + "': '"
              + value
              + "' is "
              + (expected.contains(" nor ") ? "neither " : "not ")
              + expected,
          error);
    }
  }

  private void print(CompileReport report) {
    for (CompileReport.Module module : report.modules()) {
      boolean isRight = module.log2FailureProbability() <= report.log2PError();
      System.out.println(summary(module, isRight));
      System.out.printf(
          Locale.ROOT,
          "  %.2f bytes a value up, %.2f down; noise margin %.2f bits%n",
          module.bytesUpPerValue(),
          module.bytesDownPerValue(),
          module.noiseMarginBits());
      if (!isRight) {
        System.out.printf(
            Locale.ROOT,
            "  p-error 2^%.1f is not met: see what this does with score --mode simulate%n",
            report.log2PError());
      }
      System.out.println("  " + module.policy());
    }
    if (!report.modules().isEmpty()) {
      System.out.println(
          protectWeights
              ? "results are re-randomised: a client needs rows of its choice to work out weights;"
                  + " report.html says how many of each module, and who should run keygen"
              : "a client that scores can work out the weights of every module above, which is"
                  + " linear: keep out of its reach what must stay secret; report.html says what it"
                  + " learns of each");
    }
    report.lookups().forEach(module -> System.out.println(summary(module)));
    report.leveled().forEach(module -> System.out.println(summary(module)));
    if (report.padding() != null) {
      System.out.println(report.padding());
    }
    report.unchecked().forEach(what -> System.out.println("not checked: " + what));
    if (!report.modules().isEmpty()) {
      printCosts(report);
    }
    System.out.println(
        "wrote "
            + out
            + "/client, "
            + out
            + "/server, "
            + out
            + "/report.json and "
            + out
            + "/report.html");
  }

  private static void printCosts(CompileReport report) {
    System.out.printf(
        Locale.ROOT,
        "costs are those of blocks of %,d records, executors with kernel %s and %.1f Gbit/s%n",
        report.expectedBatch(),
        report.costs().kernel(),
        report.costs().wireGigabits());
  }

  /** What a module with look-ups became, in a few lines. */
  private static String summary(CompileReport.LookupModule module) {
    BootstrapParameters parameters = module.parameters();
    StringBuilder text = new StringBuilder();
    text.append(
        String.format(
            Locale.ROOT,
            "%s: %d -> %d, %,d look-ups a row; n = %d, (k,N) = (%d,%d), bootstrap %d x 2^%d, keyswitch"
                + " %d x 2^%d, the best of %,d: %,.1f ms a look-up on one core, %,.0f ms a record;"
                + " evaluation key %,.1f MB; %,.0f bytes a record up, %,.0f down",
            module.module(),
            module.dIn(),
            module.dOut(),
            module.lookups(),
            parameters.lweDimension(),
            parameters.glweDimension(),
            parameters.polynomialSize(),
            parameters.bootstrap().levels(),
            parameters.bootstrap().baseLog(),
            parameters.keyswitch().levels(),
            parameters.keyswitch().baseLog(),
            module.candidates(),
            module.millisecondsPerLookup(),
            module.millisecondsPerRecord(),
            module.evaluationKeyBytes() / 1e6,
            module.bytesUpPerRecord(),
            module.bytesDownPerRecord()));
    for (CompiledLookups.Layer layer : module.layers()) {
      text.append(
          String.format(
              Locale.ROOT,
              "%n  %s: %d look-ups, noise %.2f %% of the range +-%.3g",
              layer.tensor(),
              layer.lookups(),
              100 * layer.deviation(),
              layer.range()));
    }
    return text.append(
            String.format(
                Locale.ROOT,
                "%n  outputs: noise %.2f %% of their range; judge it with score --mode simulate%n  %s",
                100 * module.outputDeviation(),
                summary(module.engine())))
        .toString();
  }

  /** What a module on encrypted numbers became, in a few lines. */
  private static String summary(CompileReport.LeveledModule module) {
    StringBuilder text = new StringBuilder();
    text.append(
        String.format(
            Locale.ROOT,
            "%s: %d -> %d, blocks of up to %,d rows on %d levels (modulus 2^%d; 128-bit security up"
                + " to 2^%d, ePrint 2024/463): %,.0f ms a block on one core however full, %,.3g ms a"
                + " record of the expected batch; evaluation key %,.1f MB; %,.1f MB a block up, %,.1f"
                + " MB down",
            module.module(),
            module.dIn(),
            module.dOut(),
            module.parameters().polynomialSize(),
            module.parameters().levels(),
            module.log2Modulus(),
            module.log2SecureModulus(),
            module.millisecondsPerBlock(),
            module.millisecondsPerRecord(),
            module.evaluationKeyBytes() / 1e6,
            module.bytesUpPerBlock() / 1e6,
            module.bytesDownPerBlock() / 1e6));
    for (LeveledFigures layer : module.layers()) {
      text.append(
          String.format(
              Locale.ROOT,
              "%n  %s: polynomials of degree %d for %d neurons, range +-%.3g, error %.2f %%",
              layer.tensor(),
              layer.degreeInArguments(),
              layer.neurons(),
              layer.range(),
              100 * layer.error()));
    }
    return text.append(
            String.format(
                Locale.ROOT,
                "%n  outputs: error %.2f %% of their spread; judge it with score --mode simulate%n  %s",
                100 * module.error(),
                summary(module.engine())))
        .toString();
  }

  private static String summary(EngineChoice choice) {
    return "engine " + choice.chosen().label() + ": " + choice.why();
  }

  /** What a module became and why, in one line. */
  private static String summary(CompileReport.Module module, boolean isRight) {
    PackedParameters parameters = module.parameters();
    Cost cost = module.nanosecondsPerRecord();
    String line =
        String.format(
            Locale.ROOT,
            "%s: %d -> %d, p = %d of %d-bit weights x %d-bit activations; (k,N) = (%d,%d),"
                + " q = 2^%d, %s: %s a value; %,.0f ns a record: %.0f %% server, %.0f %% client,"
                + " %.0f %% wire",
            module.module(),
            module.dIn(),
            module.dOut(),
            parameters.messageBits(),
            module.weightBits(),
            module.activationBits(),
            parameters.glweDimension(),
            parameters.polynomialSize(),
            parameters.log2Modulus(),
            limbs(parameters),
            correctness(module, isRight),
            cost.total(),
            100 * cost.server() / cost.total(),
            100 * cost.client() / cost.total(),
            100 * cost.wire() / cost.total());
    if (module.alternatives().isEmpty()) {
      return line;
    }
    ParameterChoice.Alternative next = module.alternatives().get(0);
    return line
        + String.format(
            Locale.ROOT,
            "; next best +%.1f %%, mostly %s: %s",
            100 * (next.costRatio() - 1),
            next.mostlyMore(),
            difference(parameters, next.parameters()));
  }

  private static String correctness(CompileReport.Module module, boolean isRight) {
    return String.format(
        Locale.ROOT,
        isRight
            ? "cheapest of %d candidates that decrypt right, with probability 1 - 2^%.1f"
            : "cheapest of %d candidates with the least noise, wrong with probability up to 2^%.1f",
        module.candidates(),
        module.log2FailureProbability());
  }

  private static String limbs(PackedParameters parameters) {
    return String.format(
        Locale.ROOT,
        "bodies %d bytes up, results %d+%d bytes",
        parameters.bodyLimbs(),
        parameters.outputLimbs(),
        parameters.outputBodyLimbs());
  }

  /** What is other in other parameters. */
  private static String difference(PackedParameters chosen, PackedParameters other) {
    List<String> differing = new ArrayList<>();
    if (chosen.glweDimension() != other.glweDimension()
        || chosen.polynomialSize() != other.polynomialSize()) {
      differing.add("(" + other.glweDimension() + "," + other.polynomialSize() + ")");
    }
    if (chosen.limbs() != other.limbs()) {
      differing.add("q = 2^" + other.log2Modulus());
    }
    if (!limbs(chosen).equals(limbs(other))) {
      differing.add(limbs(other));
    }
    return String.join(", ", differing);
  }
}
