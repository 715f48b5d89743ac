package org.fhespark.jobs.cli;

import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.fhespark.jobs.client.Aggregate;
import org.fhespark.jobs.client.ExchangeSession;
import org.fhespark.jobs.client.GroupReport;
import org.fhespark.jobs.client.LostResults;
import org.fhespark.jobs.client.RoundReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The last of the three jobs that score apart. */
@Command(
    name = "decrypt",
    description = {
      "Decrypts what evaluate made of the blocks of encrypt, or of decrypt before.",
      "A model with remote modules behind one another takes several rounds: each but the last ends"
          + " with new blocks, the last with the scored table.",
      "With --aggregate it decrypts sums, and writes a row a group: its value, count, and arrays of"
          + " the aggregated outputs."
    },
    mixinStandardHelpOptions = true)
final class DecryptCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Mixin private ExchangeOptions exchange;

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

  @Option(
      names = "--aggregate",
      paramLabel = "sum|mean",
      description = "What to tell of each group of encrypt --group-by; of no exchange.")
  private Aggregate aggregate;

  @Option(
      names = "--lost",
      defaultValue = "fail",
      paramLabel = "fail|null",
      description =
          "What becomes of blocks whose results are missing or damaged: the command ends and names"
              + " them (default), or goes on, and the outputs of their records are null.")
  private LostResults lost;

  @Option(names = "--overwrite", description = "Replace a scored table that was written before.")
  private boolean overwrite;

  @Override
  public Integer call() {
    if (aggregate != null && output == null) {
      throw new ParameterException(
          spec.commandLine(), "--aggregate ends with a table: say where to write it by --output");
    }
    if (aggregate != null && lost != LostResults.FAIL) {
      throw new ParameterException(
          spec.commandLine(), "--aggregate fails if a sum is missing or damaged: leave out --lost");
    }
    exchange.run(
        "decrypt",
        (model, keys) -> keys.byId(ExchangeSession.keyOf(model, state)),
        (session, progress) -> {
          if (aggregate != null) {
            GroupReport report =
                session.decryptGroups(state, input, aggregate, output, overwrite, progress);
            System.out.printf(
                Locale.ROOT,
                "decrypt: %s of %d groups, %d records, in %.2f s%n",
                aggregate.name().toLowerCase(Locale.ROOT),
                report.groups(),
                report.records(),
                report.seconds());
            System.out.println("wrote " + output);
            return;
          }
          RoundReport report =
              session.decrypt(
                  state,
                  input,
                  Optional.ofNullable(out),
                  Optional.ofNullable(output),
                  overwrite,
                  lost,
                  progress);
          RoundLines.print("decrypt", report, report.isScored() ? output : out);
        });
    return 0;
  }
}
