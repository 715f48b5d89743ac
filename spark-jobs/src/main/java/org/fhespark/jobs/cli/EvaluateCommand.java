package org.fhespark.jobs.cli;

import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.blocks.BlockTableFiles;
import org.fhespark.jobs.server.CorruptBlocks;
import org.fhespark.jobs.server.EvaluationJob;
import org.fhespark.jobs.server.EvaluationReport;
import org.fhespark.jobs.server.SumReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The second of the three jobs that score apart, the server's. */
@Command(
    name = "evaluate",
    description = {
      "Evaluates encrypted blocks on the executors; needs no secret.",
      "Blocks that it has evaluated are not evaluated again, by this or another run with the same"
          + " RESULTS.",
      "With --sum it adds the results of each group of encrypt --group-by, so that sums alone are"
          + " decrypted."
    },
    mixinStandardHelpOptions = true)
final class EvaluateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Mixin private SparkOptions sparkOptions;

  @Option(
      names = "--server",
      required = true,
      paramLabel = "DIR",
      description = "The server artefact.")
  private Path server;

  @Option(
      names = "--evaluation-keys",
      paramLabel = "FILE",
      description =
          "The client's evaluation key, or a folder of them; needed by models with remote"
              + " non-linearities. May be repeated.")
  private List<java.nio.file.Path> evaluationKeys = List.of();

  @Option(
      names = "--public-key",
      paramLabel = "FILE",
      description =
          "The client's public key, one of each client; needed by models compiled with"
              + " --protect-weights. May be repeated.")
  private List<java.nio.file.Path> publicKeys = List.of();

  @Option(
      names = "--input",
      required = true,
      paramLabel = "BLOCKS",
      description = "A folder of encrypted blocks.")
  private Path input;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "RESULTS",
      description = "A folder to which files of results are added.")
  private Path out;

  @Option(
      names = "--sum",
      description =
          "Add the results of each group, of blocks of encrypt --group-by; RESULTS then gets sums"
              + " alone. Groups whose blocks are not all there yet are left for another run.")
  private boolean isSum;

  @Option(
      names = "--stream",
      description = "Go on, and evaluate blocks as they appear, until the command is ended.")
  private boolean isStream;

  @Option(
      names = "--corrupt",
      defaultValue = "fail",
      paramLabel = "fail|quarantine",
      description =
          "What becomes of blocks that are damaged or of another model or key, and of files that"
              + " cannot be read: the command ends and names the first (default), or goes on and"
              + " puts them into RESULTS/_quarantine, with the reason of each.")
  private CorruptBlocks corrupt;

  @Option(
      names = "--interval",
      defaultValue = "1000",
      paramLabel = "MS",
      description = "How often --stream looks for blocks (default: ${DEFAULT-VALUE} ms).")
  private long interval;

  @Override
  public Integer call() {
    if (isSum && isStream) {
      throw new ParameterException(
          spec.commandLine(), "--sum takes the groups that are there: leave out --stream");
    }
    if (isSum && corrupt != CorruptBlocks.FAIL) {
      throw new ParameterException(
          spec.commandLine(), "--sum fails with a corrupt block: leave out --corrupt");
    }
    if (interval < 1) {
      throw new ParameterException(
          spec.commandLine(), "--interval " + interval + ": give at least 1 ms");
    }
    SparkSession spark = sparkOptions.open("evaluate");
    try (EvaluationJob job = EvaluationJob.open(spark, server, evaluationKeys, publicKeys)) {
      if (isSum) {
        SumReport report = job.sum(input, out);
        System.out.printf(
            Locale.ROOT,
            "evaluate: %d blocks, added to %d sums, in %.2f s%n",
            report.blocks(),
            report.sums(),
            report.seconds());
        if (report.incomplete() > 0) {
          System.out.printf(
              "  %d groups lack blocks and were left for another run%n", report.incomplete());
        }
      } else {
        EvaluationReport report =
            isStream
                ? job.watch(input, out, Duration.ofMillis(interval), corrupt)
                : job.run(input, out, corrupt);
        System.out.printf(
            Locale.ROOT, "evaluate: %d blocks in %.2f s%n", report.blocks(), report.seconds());
        if (report.quarantinedBlocks() + report.quarantinedFiles() > 0) {
          System.out.printf(
              "  %d blocks and %d files could not be evaluated: %s says which and why%n",
              report.quarantinedBlocks(),
              report.quarantinedFiles(),
              BlockTableFiles.quarantine(out));
        }
      }
      System.out.println("wrote " + out);
    } finally {
      spark.stop();
    }
    return 0;
  }
}
