package org.fhespark.jobs.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.DoubleConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.nativelib.ClientKey;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Makes a client's secret key, and the evaluation keys of a model with look-ups. */
@Command(
    name = "keygen",
    description = {
      "Makes the client's secret key, KEYS/client.key, readable by its owner only.",
      "For a model with remote non-linearities also KEYS/evaluation.key, which holds no secret and"
          + " goes to the executors."
    },
    mixinStandardHelpOptions = true)
final class KeygenCommand implements Callable<Integer> {
  /** Name of the key file in a directory of keys. */
  static final String CLIENT_KEY = "client.key";

  private static final int PARTS = 1000;

  @Option(
      names = "--client",
      required = true,
      paramLabel = "DIR",
      description = "The client artefact the key is for.")
  private org.apache.hadoop.fs.Path client;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "KEYS",
      description = "A local directory; an existing key is never overwritten.")
  private Path out;

  @Option(
      names = "--evaluation-keys-only",
      description = "Make the evaluation keys of the KEYS/client.key that is there.")
  private boolean evaluationKeysOnly;

  @Option(
      names = "--progress",
      defaultValue = "auto",
      paramLabel = "auto|always|never",
      description = "Draw a progress bar for evaluation keys (default: on a terminal).")
  private ProgressOption progress;

  @Override
  public Integer call() {
    HybridModel model = HybridModel.load(client, new Configuration());
    Path file = out.resolve(CLIENT_KEY);
    if (evaluationKeysOnly && !model.needsEvaluationKeys()) {
      throw new InvalidInputException(
          client + ": this model needs no evaluation keys: leave out --evaluation-keys-only");
    }
    if (!evaluationKeysOnly && model.needsEvaluationKeys() && Files.exists(file)) {
      throw new InvalidInputException(
          file
              + ": exists and is not overwritten: add --evaluation-keys-only to make its evaluation"
              + " keys, or give another directory");
    }
    // Before the client key is there, which no evaluation key of another would fit.
    model.requireNoEvaluationKeys(out);
    try (ClientKey key = evaluationKeysOnly ? ClientKey.load(file) : model.newKey()) {
      if (!evaluationKeysOnly) {
        key.save(file);
        System.out.println("wrote " + file + ", key " + key.id());
      }
      if (model.needsEvaluationKeys()) {
        makeEvaluationKeys(model, key);
      }
    }
    return 0;
  }

  private void makeEvaluationKeys(HybridModel model, ClientKey key) {
    long start = System.nanoTime();
    if (progress.isDrawn()) {
      try (ProgressBar bar =
          new ProgressBarBuilder()
              .setTaskName(
                  String.format(
                      Locale.ROOT, "evaluation keys, %.1f MB", model.evaluationKeyBytes() / 1e6))
              .setInitialMax(PARTS)
              .setStyle(ProgressBarStyle.ASCII)
              .build()) {
        write(model, key, share -> bar.stepTo(Math.round(share * PARTS)), start);
      }
    } else {
      write(model, key, share -> {}, start);
    }
  }

  private void write(HybridModel model, ClientKey key, DoubleConsumer told, long start) {
    for (Path file : model.evaluationKeys(key, out, told)) {
      System.out.printf(
          Locale.ROOT,
          "wrote %s, %.1f MB, after %.1f s%n",
          file,
          size(file) / 1e6,
          (System.nanoTime() - start) / 1e9);
    }
  }

  private static long size(Path file) {
    try {
      return Files.size(file);
    } catch (IOException error) {
      throw new InvalidInputException(file + ": cannot be read: " + error.getMessage(), error);
    }
  }
}
