package org.fhespark.jobs.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The commands encrypt, evaluate and decrypt over folders of their own.
 *
 * @param client whose artefact and keys encrypt and decrypt take
 * @param folder gets state, blocks and results
 * @param resultsName what the folder of results is called in it
 */
record JobsApart(Artefacts client, Path folder, String resultsName) {
  JobsApart(Artefacts client, Path folder) {
    this(client, folder, "results");
  }

  Path state() {
    return folder.resolve("state");
  }

  Path blocks() {
    return folder.resolve("blocks");
  }

  Path results() {
    return folder.resolve(resultsName);
  }

  CommandRun encrypt(Path input, String... more) {
    return run(
        List.of(
            "encrypt",
            "--client",
            client.client().toString(),
            "--keys",
            client.keys().toString(),
            "--input",
            input.toString(),
            "--state",
            state().toString(),
            "--out",
            blocks().toString()),
        more);
  }

  CommandRun evaluate(Path server, String... more) {
    return run(
        List.of(
            "evaluate",
            "--server",
            server.toString(),
            "--input",
            blocks().toString(),
            "--out",
            results().toString()),
        more);
  }

  CommandRun decrypt(String... more) {
    return run(
        List.of(
            "decrypt",
            "--client",
            client.client().toString(),
            "--keys",
            client.keys().toString(),
            "--state",
            state().toString(),
            "--input",
            results().toString()),
        more);
  }

  private static CommandRun run(List<String> command, String... more) {
    List<String> arguments = new ArrayList<>(command);
    arguments.addAll(List.of(more));
    return CommandRun.of(arguments);
  }
}
