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
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.KeyFolder;
import org.fhespark.jobs.client.KeyRotation;
import org.fhespark.nativelib.ClientKey;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Makes a client's secret key, and the evaluation keys of a model with look-ups. */
@Command(
    name = "keygen",
    description = {
      "Makes the client's secret key, KEYS/client.key, readable by its owner only.",
      "For a model with remote non-linearities also KEYS/evaluation.key, which holds no secret and"
          + " goes to the executors.",
      "For a model compiled with --protect-weights also KEYS/public.key, which holds no secret"
          + " either: results are re-randomised with it.",
      "--rotate replaces them and keeps the old ones in KEYS/retired, for data encrypted before."
    },
    mixinStandardHelpOptions = true)
final class KeygenCommand implements Callable<Integer> {
  private static final int PARTS = 1000;

  @Spec private CommandSpec command;
  @Mixin private PassphraseOptions passphrase;

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
      names = "--rotate",
      description =
          "Replace KEYS/client.key, and what belongs to it, by a new one under the same passphrase;"
              + " the old goes to KEYS/retired. Finishes a rotation that was interrupted.")
  private boolean isRotation;

  @Option(
      names = "--progress",
      defaultValue = "auto",
      paramLabel = "auto|always|never",
      description = "Draw a progress bar for evaluation keys (default: on a terminal).")
  private ProgressOption progress;

  @Override
  public Integer call() {
    HybridModel model = HybridModel.load(client, HadoopSettings.submitted());
    if (evaluationKeysOnly && isRotation) {
      throw new ParameterException(
          command.commandLine(), "--rotate makes all keys anew: leave out --evaluation-keys-only");
    }
    if (evaluationKeysOnly && !model.needsEvaluationKeys()) {
      throw new InvalidInputException(
          client + ": this model needs no evaluation keys: leave out --evaluation-keys-only");
    }
    if (isRotation) {
      return passphrase.use(false, secret -> rotate(model, secret));
    }
    Path file = out.resolve(KeyFolder.CLIENT_KEY);
    if (!evaluationKeysOnly && model.needsEvaluationKeys() && Files.exists(file)) {
      throw new InvalidInputException(
          file
              + ": exists and is not overwritten: add --evaluation-keys-only to make its evaluation"
              + " keys, or give another directory");
    }
    // Before the client key is there, which no evaluation key of another would fit.
    model.requireNoEvaluationKeys(out);
    if (evaluationKeysOnly) {
      try (KeyFolder keys = passphrase.open(out)) {
        makeEvaluationKeys(model, keys.current(), out);
      }
      return 0;
    }
    model.requireNoPublicKey(out);
    return passphrase.use(true, secret -> make(model, secret));
  }

  private int make(HybridModel model, char[] secret) {
    try (ClientKey key = model.newKey()) {
      key.save(out.resolve(KeyFolder.CLIENT_KEY), secret);
      tell("wrote", key.id(), secret);
      makePublicKey(model, key, out);
      makeEvaluationKeys(model, key, out);
    }
    return 0;
  }

  private int rotate(HybridModel model, char[] secret) {
    try (KeyRotation rotation = KeyRotation.begin(out, secret)) {
      if (rotation.finishInterrupted()) {
        try (KeyFolder keys = KeyFolder.open(out, secret)) {
          tell("finished the rotation that was interrupted:", keys.current().id(), secret);
        }
        return 0;
      }
      String old = idOfCurrent(secret);
      Path stage = rotation.stage();
      try (ClientKey key = model.newKey()) {
        key.save(stage.resolve(KeyFolder.CLIENT_KEY), secret);
        makePublicKey(model, key, stage);
        makeEvaluationKeys(model, key, stage);
        rotation.commit();
        tell("wrote", key.id(), secret);
        System.out.println("retired key " + old + ", which opens what was encrypted under it");
      }
    }
    return 0;
  }

  private String idOfCurrent(char[] secret) {
    try (KeyFolder keys = KeyFolder.open(out, secret)) {
      return keys.current().id();
    }
  }

  private void tell(String done, String id, char[] secret) {
    System.out.printf(
        "%s %s, key %s, %s%n",
        done,
        out.resolve(KeyFolder.CLIENT_KEY),
        id,
        secret == null ? "without a passphrase" : "protected by the passphrase");
  }

  private void makePublicKey(HybridModel model, ClientKey key, Path folder) {
    model
        .writePublicKey(key, folder)
        .ifPresent(file -> System.out.println("wrote " + out.resolve(file.getFileName())));
  }

  private void makeEvaluationKeys(HybridModel model, ClientKey key, Path folder) {
    if (!model.needsEvaluationKeys()) {
      return;
    }
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
        write(model, key, folder, share -> bar.stepTo(Math.round(share * PARTS)), start);
      }
    } else {
      write(model, key, folder, share -> {}, start);
    }
  }

  private void write(
      HybridModel model, ClientKey key, Path folder, DoubleConsumer told, long start) {
    for (Path file : model.evaluationKeys(key, folder, told)) {
      System.out.printf(
          Locale.ROOT,
          "wrote %s, %.1f MB, after %.1f s%n",
          out.resolve(file.getFileName()),
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
