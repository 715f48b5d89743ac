package org.fhespark.jobs.cli;

import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
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
  @Mixin private ExchangeOptions exchange;

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
      names = "--on-cluster",
      description =
          "Encrypt on the executors, of a cluster that you trust: every host needs KEYS at the same"
              + " path, STATE on a file system that all have mounted, and a way to DATA, DIR and"
              + " BLOCKS.")
  private boolean onCluster;

  @Override
  public Integer call() {
    exchange.run(
        "encrypt",
        (model, keys) -> keys.current(),
        (session, progress) ->
            RoundLines.print(
                "encrypt",
                onCluster
                    ? session.encryptOnCluster(input, state, out, exchange.keysOnHosts())
                    : session.encrypt(input, state, out, progress),
                out));
    return 0;
  }
}
