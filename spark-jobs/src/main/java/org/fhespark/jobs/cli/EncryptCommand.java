package org.fhespark.jobs.cli;

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

/** The first of the three jobs that score apart. */
@Command(
    name = "encrypt",
    description = {
      "Takes records to the first remote modules and writes encrypted blocks, for evaluate.",
      "What decrypt will need, clear tensors among it, stays in a private folder."
    },
    mixinStandardHelpOptions = true)
final class EncryptCommand implements Callable<Integer> {
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
      names = "--input",
      required = true,
      paramLabel = "DATA",
      description = "Records: Parquet, CSV or JSON; a column per input of the model.")
  private Path input;

  @Option(
      names = "--state",
      required = true,
      paramLabel = "STATE",
      description = "A new local folder of your own; decrypt needs it.")
  private java.nio.file.Path state;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "BLOCKS",
      description = "A folder, on any Hadoop file system, to which files of blocks are added.")
  private Path out;

  @Option(
      names = "--progress",
      defaultValue = "auto",
      paramLabel = "auto|always|never",
      description = "Draw a progress bar (default: on a terminal).")
  private ProgressOption progress;

  @Override
  public Integer call() {
    SparkSession spark = sparkOptions.open("encrypt");
    try {
      HybridModel model = HybridModel.load(client, spark.sparkContext().hadoopConfiguration());
      try (KeyFolder folder = passphrase.open(keys);
          ExchangeSession session = model.exchange(spark, folder.current())) {
        RoundReport report = session.encrypt(input, state, out, progress.of("encrypt"));
        RoundLines.print("encrypt", report, out);
      }
    } finally {
      spark.stop();
    }
    return 0;
  }
}
