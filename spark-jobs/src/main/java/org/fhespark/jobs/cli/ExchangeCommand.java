package org.fhespark.jobs.cli;

import java.time.Duration;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.ExchangeSession;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.KeyFolder;
import org.fhespark.jobs.client.RoundReport;
import org.fhespark.nativelib.ClientKey;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The client's side of all rounds, over a folder that both sides share. */
@Command(
    name = "exchange",
    description = {
      "Scores records with an evaluating side that shares nothing but a folder: writes encrypted"
          + " blocks to FOLDER/blocks and takes their results from FOLDER/results, round by round.",
      "The other side runs: evaluate --stream --input FOLDER/blocks --out FOLDER/results",
      "Aggregates of groups take encrypt --group-by, evaluate --sum and decrypt --aggregate instead."
    },
    mixinStandardHelpOptions = true)
final class ExchangeCommand implements Callable<Integer> {
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
      description =
          "A new local folder of your own; or what an exchange of the same records left that was"
              + " ended, to be taken up again.")
  private java.nio.file.Path state;

  @Option(
      names = "--folder",
      required = true,
      paramLabel = "FOLDER",
      description = "The shared folder, on any Hadoop file system.")
  private Path shared;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "OUT",
      description = "The scored table, as score writes it: Parquet, or CSV or JSON by its ending.")
  private Path output;

  @Option(names = "--overwrite", description = "Replace a scored table that was written before.")
  private boolean overwrite;

  @Option(
      names = "--patience",
      defaultValue = "1800",
      paramLabel = "SECONDS",
      description = "How long no result at all may come (default: ${DEFAULT-VALUE}).")
  private long patience;

  @Override
  public Integer call() {
    if (patience < 0) {
      throw new InvalidInputException("--patience " + patience + ": give at least 0 seconds");
    }
    exchange.run(
        "exchange",
        this::keyOf,
        (session, progress) -> {
          RoundReport report =
              session.exchange(
                  input,
                  state,
                  new Path(shared, "blocks"),
                  new Path(shared, "results"),
                  Duration.ofSeconds(patience),
                  output,
                  overwrite,
                  progress);
          RoundLines.print("exchange", report, output);
        });
    return 0;
  }

  /** What was begun goes on under its key, retired or not. */
  private ClientKey keyOf(HybridModel model, KeyFolder folder) {
    return ExchangeSession.isBegun(state)
        ? folder.byId(ExchangeSession.keyOf(model, state))
        : folder.current();
  }
}
