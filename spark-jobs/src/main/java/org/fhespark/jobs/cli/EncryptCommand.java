package org.fhespark.jobs.cli;

import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.fhespark.jobs.client.GroupReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The first of the three jobs that score apart. */
@Command(
    name = "encrypt",
    description = {
      "Takes records to the first remote modules and writes encrypted blocks, for evaluate.",
      "What decrypt will need, clear tensors among it, stays in a private folder.",
      "With --group-by, for evaluate --sum and decrypt --aggregate, that is the groups' values and"
          + " numbers of records alone."
    },
    mixinStandardHelpOptions = true)
final class EncryptCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

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
      names = "--group-by",
      paramLabel = "COLUMN",
      description =
          "Take the records of each value of a column to blocks of their own, whose results can be"
              + " added; for a model compiled with --sums that ends with one round of remote"
              + " modules. The values stay here: blocks carry a number of their group.")
  private String groupBy;

  @Option(
      names = "--on-cluster",
      description =
          "Encrypt on the executors, of a cluster that you trust: every host needs KEYS at the same"
              + " path, STATE on a file system that all have mounted, and a way to DATA, DIR and"
              + " BLOCKS.")
  private boolean onCluster;

  @Override
  public Integer call() {
    if (groupBy != null && onCluster) {
      throw new ParameterException(
          spec.commandLine(), "--group-by encrypts on the driver: leave out --on-cluster");
    }
    exchange.run(
        "encrypt",
        (model, keys) -> keys.current(),
        (session, progress) -> {
          if (groupBy != null) {
            print(session.encryptGroups(input, groupBy, state, out, progress));
          } else if (onCluster) {
            RoundLines.print(
                "encrypt",
                session.encryptOnCluster(input, state, out, exchange.keysOnHosts()),
                out);
          } else {
            RoundLines.print("encrypt", session.encrypt(input, state, out, progress), out);
          }
        });
    return 0;
  }

  private void print(GroupReport report) {
    System.out.printf(
        Locale.ROOT,
        "encrypt: %d records of %d groups in %.2f s%n"
            + "  %d blocks of %d, %.1f MB, for evaluate --sum and decrypt --aggregate%n",
        report.records(),
        report.groups(),
        report.seconds(),
        report.blocks(),
        report.blockRows(),
        report.bytes() / 1e6);
    System.out.println("wrote " + out);
  }
}
