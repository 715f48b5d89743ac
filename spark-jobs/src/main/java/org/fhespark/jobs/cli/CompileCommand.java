package org.fhespark.jobs.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.compiler.parameters.Cost;
import org.fhespark.compiler.parameters.ParameterChoice;
import org.fhespark.compiler.parameters.ServerKernel;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.jobs.client.CalibrationTable;
import org.fhespark.nativelib.PackedParameters;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Compiles a model to circuits for the server and clear segments for the client. */
@Command(
    name = "compile",
    description = "Compiles remote modules to circuits: OUT/client, OUT/server, OUT/report.html, OUT/report.json.",
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
      description = "A module's named_modules() key; may be repeated.")
  private List<String> remote;

  @Option(
      names = "--calibration",
      required = true,
      paramLabel = "DATA",
      description = "Representative records: Parquet, CSV or JSON.")
  private Path calibration;

  @Option(names = "--out", required = true, paramLabel = "DIR", description = "The artefact.")
  private Path out;

  @Option(
      names = "--activation-bits",
      paramLabel = "auto|4..16",
      defaultValue = "auto",
      description = "Bits of activations (default: as many as 8 bits' parameters carry).")
  private String activationBits;

  @Option(
      names = "--weight-bits",
      paramLabel = "2..8",
      defaultValue = "8",
      description = "Bits of weights (default: ${DEFAULT-VALUE}).")
  private int weightBits;

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
    try (CalibrationTable records = CalibrationTable.open(spark, model, calibration)) {
      CompileReport report =
          new ModelCompiler(spark.sparkContext().hadoopConfiguration())
              .compile(model, records.batches(), options, out);
      print(report);
    } finally {
      spark.stop();
    }
    return 0;
  }

  private CompileOptions options() {
    CompileOptions.Builder options =
        CompileOptions.remote(remote)
            .weightBits(weightBits)
            .quantization(quantization)
            .serverKernel(serverKernel)
            .log2PError(log2PError);
    if (!activationBits.equals("auto")) {
      try {
        options.activationBits(Integer.parseInt(activationBits));
      } catch (NumberFormatException error) {
        throw new ParameterException(
            command.commandLine(),
            "Invalid value for option '--activation-bits': '"
                + activationBits
                + "' is neither auto nor a number from 4 to 16",
            error);
      }
    }
    if (expectedBatch != null) {
      options.expectedBatch(expectedBatch);
    }
    if (wireGigabits != null) {
      options.wireGigabits(wireGigabits);
    }
    return options.build();
  }

  private void print(CompileReport report) {
    for (CompileReport.Module module : report.modules()) {
      System.out.println(summary(module));
      System.out.printf(
          Locale.ROOT,
          "  %.2f bytes a value up, %.2f down; noise margin %.2f bits%n",
          module.bytesUpPerValue(),
          module.bytesDownPerValue(),
          module.noiseMarginBits());
      System.out.println("  " + module.policy());
      System.out.println("  " + module.leakage());
    }
    System.out.printf(
        Locale.ROOT,
        "costs are those of blocks of %,d records, executors with kernel %s and %.1f Gbit/s%n",
        report.expectedBatch(),
        report.costs().kernel(),
        report.costs().wireGigabits());
    System.out.println("wrote " + out + "/client, " + out + "/server, " + out + "/report.json and " + out + "/report.html");
  }

  /** What a module became and why, in one line. */
  private static String summary(CompileReport.Module module) {
    PackedParameters parameters = module.parameters();
    Cost cost = module.nanosecondsPerRecord();
    String line =
        String.format(
            Locale.ROOT,
            "%s: %d -> %d, p = %d of %d-bit weights x %d-bit activations; (k,N) = (%d,%d),"
                + " q = 2^%d, %s: cheapest of %d candidates that decrypt right, with probability"
                + " 1 - 2^%.1f a value; %,.0f ns a record: %.0f %% server, %.0f %% client,"
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
            module.candidates(),
            module.log2FailureProbability(),
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
