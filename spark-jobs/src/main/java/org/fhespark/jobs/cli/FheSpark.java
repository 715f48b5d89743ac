package org.fhespark.jobs.cli;

import org.apache.hadoop.fs.Path;
import org.apache.hadoop.util.ShutdownHookManager;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.FailedJobException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.ParameterException;

/**
 * The command line. Exit 0: done; 2: wrong usage or bad input, with one line on standard error; 1:
 * anything else.
 */
@Command(
    name = "fhe-spark",
    description = "Hybrid fully homomorphic inference on Apache Spark.",
    mixinStandardHelpOptions = true,
    version = "fhe-spark 0.1.0",
    subcommands = {
      ModulesCommand.class,
      CompileCommand.class,
      KeygenCommand.class,
      ScoreCommand.class,
      EncryptCommand.class,
      EvaluateCommand.class,
      DecryptCommand.class,
      ExchangeCommand.class,
      ServeCommand.class,
      AttackCommand.class
    })
public final class FheSpark {
  /** As shells report a process that SIGINT ended. */
  private static final int INTERRUPTED = 130;

  private FheSpark() {}

  /** Runs a command and ends the JVM: 0 done, 2 wrong usage or bad input, 1 anything else. */
  public static void main(String[] arguments) {
    System.exit(run(arguments));
  }

  /** Runs a command; returns its exit status. */
  static int run(String... arguments) {
    CommandLine commandLine = new CommandLine(new FheSpark());
    commandLine.setCaseInsensitiveEnumValuesAllowed(true);
    commandLine.registerConverter(Path.class, new HadoopPathConverter());
    commandLine.setParameterExceptionHandler(FheSpark::explainUsage);
    commandLine.setExecutionExceptionHandler(FheSpark::explainFailure);
    if (arguments.length == 0) {
      commandLine.usage(System.err);
      return ExitCode.USAGE;
    }
    try {
      return commandLine.execute(arguments);
    } catch (OutOfMemoryError error) {
      System.err.println(
          "fhe-spark: the driver ran out of memory ("
              + error.getMessage()
              + "): raise FHE_SPARK_DRIVER_MEMORY, or --driver-memory of spark-submit");
      return ExitCode.SOFTWARE;
    }
  }

  private static int explainUsage(ParameterException error, String[] arguments) {
    String command = error.getCommandLine().getCommandSpec().qualifiedName();
    System.err.println(command + ": " + UsageMessage.of(error) + " (" + command + " --help)");
    return ExitCode.USAGE;
  }

  private static int explainFailure(
      Exception error, CommandLine commandLine, CommandLine.ParseResult parsed) {
    String command = commandLine.getCommandSpec().qualifiedName();
    if (ShutdownHookManager.get().isShutdownInProgress()) {
      // Ctrl-C or a signal: Spark stops under the command, whose errors say nothing more.
      System.err.println(command + ": interrupted");
      return INTERRUPTED;
    }
    if (error instanceof InvalidInputException) {
      System.err.println(command + ": " + error.getMessage());
      return ExitCode.USAGE;
    }
    if (error instanceof FailedJobException) {
      System.err.println(command + ": " + error.getMessage());
      return ExitCode.SOFTWARE;
    }
    System.err.println(command + ": internal error, please report it:");
    error.printStackTrace();
    return ExitCode.SOFTWARE;
  }
}
