package org.fhespark.jobs.cli;

import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.ExchangeSession;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.KeyFolder;
import org.fhespark.jobs.client.RoundReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The last of the three jobs that score apart. */
@Command(
    name = "decrypt",
    description = {
      "Decrypts what evaluate made of the blocks of encrypt, or of decrypt before.",
      "A model with remote modules behind one another takes several rounds: each but the last ends"
          + " with new blocks, the last with the scored table."
    },
    mixinStandardHelpOptions = true)
final class DecryptCommand implements Callable<Integer> {
  @Mixin private SparkOptions sparkOptions;

  @Mixin private PassphraseOptions passphrase;

  @Option(
      names = "--client",
      required = true,
      paramLabel = "DIR",
      description = "The client artefact.")
  private Path client;

  @Option(
      names = "--keys",
      required = true,
      paramLabel = "KEYS",
      description = "The directory keygen wrote.")
  private java.nio.file.Path keys;

  @Option(
      names = "--state",
      required = true,
      paramLabel = "STATE",
      description = "The folder that encrypt wrote.")
  private java.nio.file.Path state;

  @Option(
      names = "--input",
      required = true,
      paramLabel = "RESULTS",
      description = "The folder that evaluate wrote; it may hold results of other blocks too.")
  private Path input;

  @Option(
      names = "--out",
      paramLabel = "BLOCKS",
      description = "A folder to which the next round's blocks are added; needed but for the last.")
  private Path out;

  @Option(
      names = "--output",
      paramLabel = "SCORED",
      description =
          "The scored table, as score writes it: Parquet, or CSV or JSON by its ending; needed"
              + " for the last round.")
  private Path output;

  @Option(names = "--overwrite", description = "Replace a scored table that was written before.")
  private boolean overwrite;

  @Option(
      names = "--progress",
      defaultValue = "auto",
      paramLabel = "auto|always|never",
      description = "Draw a progress bar (default: on a terminal).")
  private ProgressOption progress;

  @Override
  public Integer call() {
    SparkSession spark = sparkOptions.open("decrypt");
    try {
      HybridModel model = HybridModel.load(client, spark.sparkContext().hadoopConfiguration());
      try (KeyFolder folder = passphrase.open(keys);
          ExchangeSession session =
              model.exchange(spark, folder.byId(ExchangeSession.keyOf(model, state)))) {
        RoundReport report =
            session.decrypt(
                state,
                input,
                Optional.ofNullable(out),
                Optional.ofNullable(output),
                overwrite,
                progress.of("decrypt"));
        RoundLines.print("decrypt", report, report.isScored() ? output : out);
      }
    } finally {
      spark.stop();
    }
    return 0;
  }
}
