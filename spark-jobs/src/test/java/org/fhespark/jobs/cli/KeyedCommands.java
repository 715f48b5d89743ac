package org.fhespark.jobs.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Commands on a model that takes an evaluation key.
 *
 * @param model its client and server artefacts
 */
record KeyedCommands(Path model) {
  private String client() {
    return model.resolve("client").toString();
  }

  private String server() {
    return model.resolve("server").toString();
  }

  /** Makes keys in a folder. */
  CommandRun keygen(Path keys, String... more) {
    List<String> arguments =
        new ArrayList<>(List.of("keygen", "--client", client(), "--out", keys.toString()));
    arguments.addAll(List.of(more));
    return CommandRun.of(arguments.toArray(String[]::new));
  }

  /** Scores a table. */
  CommandRun score(String mode, Path input, Path keys, Path output) {
    return CommandRun.of(
        "score",
        "--client",
        client(),
        "--server",
        server(),
        "--keys",
        keys.toString(),
        "--input",
        input.toString(),
        "--output",
        output.toString(),
        "--mode",
        mode);
  }

  /** Encrypts a table, its state and blocks to this folder. */
  CommandRun encrypt(Path input, Path keys, Path folder) {
    return CommandRun.of(
        "encrypt",
        "--client",
        client(),
        "--keys",
        keys.toString(),
        "--input",
        input.toString(),
        "--state",
        folder.resolve("state").toString(),
        "--out",
        folder.resolve("blocks").toString());
  }

  /**
   * Scores a table in jobs apart, of which the evaluating one gets the evaluation key alone.
   *
   * @return what was scored, in this folder
   */
  Path scoreApart(Path input, Path keys, Path folder) {
    encrypt(input, keys, folder).assertDone();
    String state = folder.resolve("state").toString();
    String blocks = folder.resolve("blocks").toString();
    String results = folder.resolve("results").toString();
    Path output = folder.resolve("apart");
    CommandRun.of("evaluate", "--server", server(), "--input", blocks, "--out", results)
        .assertRefused("takes the client's evaluation key", "--evaluation-keys");
    CommandRun.of(
            "evaluate",
            "--server",
            server(),
            "--input",
            blocks,
            "--out",
            results,
            "--evaluation-keys",
            keys.resolve("evaluation.key").toString())
        .assertDone();
    CommandRun.of(
            "decrypt",
            "--client",
            client(),
            "--keys",
            keys.toString(),
            "--input",
            results,
            "--state",
            state,
            "--output",
            output.toString())
        .assertDone();
    return output;
  }
}
