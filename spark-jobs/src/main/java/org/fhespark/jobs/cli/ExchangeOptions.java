package org.fhespark.jobs.cli;

import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.ExchangeSession;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.KeyFolder;
import org.fhespark.jobs.client.KeysOnHosts;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.nativelib.ClientKey;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What all steps of a client that scores in jobs apart are given, and how they begin and end. */
final class ExchangeOptions {
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
      names = "--progress",
      defaultValue = "auto",
      paramLabel = "auto|always|never",
      description = "Draw a progress bar (default: on a terminal).")
  private ProgressOption progress;

  /** Where the keys are on every host of a cluster that the client trusts. */
  KeysOnHosts keysOnHosts() {
    return passphrase.onHosts(keys);
  }

  /** Which key of the folder a step takes. */
  @FunctionalInterface
  interface KeyChoice {
    ClientKey of(HybridModel model, KeyFolder keys);
  }

  /** A step; it says itself what it did. */
  @FunctionalInterface
  interface Step {
    void run(ExchangeSession session, ScoreProgress progress);
  }

  /** Runs a step in a session of its own. */
  void run(String command, KeyChoice key, Step step) {
    SparkSession spark = sparkOptions.open(command);
    try {
      HybridModel model = HybridModel.load(client, spark.sparkContext().hadoopConfiguration());
      try (KeyFolder folder = passphrase.open(keys);
          ExchangeSession session = model.exchange(spark, key.of(model, folder))) {
        step.run(session, progress.of(command));
      }
    } finally {
      spark.stop();
    }
  }
}
