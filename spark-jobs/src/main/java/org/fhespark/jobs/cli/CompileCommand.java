package org.fhespark.jobs.cli;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.ModelCompiler;
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
    description = "Compiles remote modules to circuits: OUT/client, OUT/server, OUT/report.json.",
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
      description = "Records expected in a block (default: 4096).")
  private Integer expectedBatch;

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
    return options.build();
  }

  private void print(CompileReport report) {
    for (CompileReport.Module module : report.modules()) {
      PackedParameters parameters = module.parameters();
      System.out.printf(
          "%s: %d x %d, weights %d bits, activations %d bits; k = %d, N = %d, q = 2^%d, p = %d;"
              + " failure 2^%.0f a value, margin %.2f bits; %.2f bytes a value up, %.2f down%n",
          module.module(),
          module.dIn(),
          module.dOut(),
          module.weightBits(),
          module.activationBits(),
          parameters.glweDimension(),
          parameters.polynomialSize(),
          parameters.log2Modulus(),
          parameters.messageBits(),
          module.log2FailureProbability(),
          module.noiseMarginBits(),
          module.bytesUpPerValue(),
          module.bytesDownPerValue());
      System.out.println("  " + module.policy());
      System.out.println("  " + module.leakage());
    }
    System.out.println("wrote " + out + "/client, " + out + "/server and " + out + "/report.json");
  }
}
