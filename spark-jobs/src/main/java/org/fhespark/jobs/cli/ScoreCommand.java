package org.fhespark.jobs.cli;

import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.KeyFolder;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.RemoteServer;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.Step;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Scores a table. */
@Command(
    name = "score",
    description = "Scores records: clear segments here, remote modules as the mode says.",
    mixinStandardHelpOptions = true)
final class ScoreCommand implements Callable<Integer> {
  @Spec private CommandSpec command;
  @Mixin private SparkOptions sparkOptions;

  @Option(
      names = "--client",
      required = true,
      paramLabel = "DIR",
      description = "The client artefact.")
  private Path client;

  @Option(
      names = "--server",
      required = true,
      paramLabel = "DIR|sc://HOST:PORT",
      description = {
        "The server artefact;",
        "mode remote: a Spark Connect server (fhe-spark serve). TLS unless the host is localhost."
      })
  private String server;

  @Option(
      names = "--token-file",
      paramLabel = "FILE",
      description = "Its first line is the server's token; needed by mode remote.")
  private java.nio.file.Path tokenFile;

  @Option(
      names = "--patience",
      defaultValue = "300",
      paramLabel = "SECONDS",
      description =
          "How long mode remote waits for a server that went away in mid-run, as when it is"
              + " restarted (default: ${DEFAULT-VALUE}).")
  private int patience;

  @Option(
      names = "--keys",
      paramLabel = "KEYS",
      description = "The directory keygen wrote; needed by modes execute and remote.")
  private java.nio.file.Path keys;

  @Mixin private PassphraseOptions passphrase;

  @Option(
      names = "--input",
      required = true,
      paramLabel = "DATA",
      description = "Records: Parquet, CSV or JSON; a column per input of the model.")
  private Path input;

  @Option(
      names = "--output",
      paramLabel = "OUT",
      description =
          "The input's columns and an array column per output; Parquet, or CSV or JSON by its ending."
              + " Mode calibrate needs none.")
  private Path output;

  @Option(
      names = "--mode",
      defaultValue = "execute",
      paramLabel = "MODE",
      description = {
        "torch: remote modules in float, the reference;",
        "calibrate: the same, and --statistics is written;",
        "disable: quantised, in clear;",
        "simulate: quantised, in clear, with the noise that the parameters predict, so with wrong"
            + " values as often as under FHE; needs no key;",
        "execute: encrypted, on the executors; needs --keys (default: ${DEFAULT-VALUE});",
        "remote: encrypted, on somebody else's Spark; needs --keys and --token-file, no circuits."
      })
  private Mode mode;

  @Option(
      names = "--statistics",
      paramLabel = "FILE",
      description =
          "Written by mode calibrate, for compile --statistics: ranges and histograms of what"
              + " remote modules read, no records.")
  private Path statistics;

  @Option(
      names = "--overwrite",
      description = "Replace an output or statistics that score wrote before.")
  private boolean overwrite;

  @Option(
      names = "--progress",
      defaultValue = "auto",
      paramLabel = "auto|always|never",
      description = "Draw a progress bar (default: on a terminal).")
  private ProgressOption progress;

  @Override
  public Integer call() {
    requireOutput();
    requireServer();
    Path circuits =
        mode == Mode.REMOTE
            ? null
            : HadoopPathConverter.convert(command.commandLine(), "--server", server);
    SparkSession spark = sparkOptions.open("score");
    try {
      HybridModel model =
          circuits == null
              ? HybridModel.load(client, spark.sparkContext().hadoopConfiguration())
              : HybridModel.load(client, circuits, spark.sparkContext().hadoopConfiguration());
      print(score(spark, model));
    } finally {
      spark.stop();
    }
    return 0;
  }

  private void requireOutput() {
    if (mode == Mode.CALIBRATE && statistics == null) {
      throw new ParameterException(
          command.commandLine(), "mode calibrate writes statistics: give a file with --statistics");
    }
    if (mode != Mode.CALIBRATE && statistics != null) {
      throw new ParameterException(
          command.commandLine(),
          "only mode calibrate writes --statistics, and the mode is " + mode.lowerCase());
    }
    if (mode != Mode.CALIBRATE && output == null) {
      throw new ParameterException(
          command.commandLine(), "Missing required option: '--output=OUT'");
    }
  }

  private void requireServer() {
    if ((mode == Mode.REMOTE) != RemoteServer.isAddress(server)) {
      throw new ParameterException(
          command.commandLine(),
          mode == Mode.REMOTE
              ? "mode remote needs --server sc://HOST:PORT, and it is " + server
              : "--server " + server + " is for mode remote, and the mode is " + mode.lowerCase());
    }
    if (mode == Mode.REMOTE && tokenFile == null) {
      throw new ParameterException(
          command.commandLine(), "mode remote needs the server's token: give --token-file FILE");
    }
  }

  private ScoreReport score(SparkSession spark, HybridModel model) {
    if (mode == Mode.CALIBRATE) {
      return calibrate(spark, model);
    }
    if (!mode.isEncrypted()) {
      try (HybridSession session = model.session(spark, mode)) {
        return session.score(input, output, overwrite, progress());
      }
    }
    if (keys == null) {
      throw new InvalidInputException(
          "mode "
              + mode.lowerCase()
              + " needs the client's key: give its directory with --keys (keygen makes one)");
    }
    try (KeyFolder folder = passphrase.open(keys);
        HybridSession session = session(spark, model, folder)) {
      ScoreReport report = session.score(input, output, overwrite, progress());
      System.out.println("encrypted under key " + folder.current().id());
      return report;
    }
  }

  private HybridSession session(SparkSession spark, HybridModel model, KeyFolder folder) {
    if (mode == Mode.EXECUTE) {
      return model.session(spark, mode, folder.current(), folder.path());
    }
    RemoteServer remote =
        new RemoteServer(server, RemoteServer.readToken(tokenFile), Duration.ofSeconds(patience));
    return model.remoteSession(spark, remote, folder.current(), Optional.of(folder.path()));
  }

  private ScoreReport calibrate(SparkSession spark, HybridModel model) {
    Configuration configuration = spark.sparkContext().hadoopConfiguration();
    CalibrationStatistics.requireFree(statistics, overwrite, configuration);
    try (HybridSession session = model.session(spark, mode)) {
      ScoreReport report =
          output == null
              ? session.calibrate(input, progress())
              : session.score(input, output, overwrite, progress());
      session.statistics().write(statistics, overwrite, configuration);
      return report;
    }
  }

  private ScoreProgress progress() {
    return progress.of("score " + mode.lowerCase());
  }

  private static void printOutside(String module, ScoreReport.LookedUp lookedUp) {
    if (lookedUp.outside() > 0) {
      System.out.printf(
          Locale.ROOT,
          "module %s: %,d of %,d looked-up values were outside the range that calibration saw; calibrate"
              + " with records like these%n",
          module,
          lookedUp.outside(),
          lookedUp.values());
    }
  }

  private void print(ScoreReport report) {
    System.out.printf(
        report.recordsPerSecond() < 10
            ? "%s: %d records in %.2f s, %.2f records/s%n"
            : "%s: %d records in %.2f s, %.0f records/s%n",
        mode.lowerCase(),
        report.records(),
        report.seconds(),
        report.recordsPerSecond());
    if (report.takenOver() > 0) {
      System.out.printf(
          "  %d of them were finished by an earlier run and taken over%n", report.takenOver());
    }
    for (Step step : Step.values()) {
      System.out.printf("  %-24s %8.2f s%n", step.label(), report.stepSeconds().get(step));
    }
    if (mode.isEncrypted()) {
      System.out.printf(
          "  %.2f bytes a value up, %.2f bytes a value down%n",
          report.bytesPerValueUp(), report.bytesPerValueDown());
    }
    if (!Double.isNaN(report.noiseMarginBits())) {
      System.out.printf("  noise margin %.2f bits%n", report.noiseMarginBits());
    }
    report.lookedUp().forEach(ScoreCommand::printOutside);
    ClampedRows.print(report.clampedRows());
    if (statistics != null) {
      System.out.println("wrote " + statistics);
    }
    if (output != null) {
      System.out.println("wrote " + output);
    }
  }
}
