package org.fhespark.jobs.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.RemoteServer;
import org.fhespark.jobs.server.BlockServer;
import org.fhespark.sql.RegisteredCircuit;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Serves circuits by Spark Connect. */
@Command(
    name = "serve",
    description = {
      "Evaluates encrypted blocks for clients elsewhere: a Spark Connect server with the SQL catalog"
          + " fhe, until it is stopped.",
      "It answers what mode remote asks, and refuses other queries. It speaks no TLS: keep the address"
          + " on loopback and put a proxy before it (conf/nginx-connect.conf)."
    },
    mixinStandardHelpOptions = true)
final class ServeCommand implements Callable<Integer> {
  private static final int DEFAULT_PORT = 15002;

  @Spec private CommandSpec command;
  @Mixin private SparkOptions sparkOptions;

  @Option(
      names = "--server",
      required = true,
      paramLabel = "[NAME=]DIR",
      description =
          "A server artefact to register, on any Hadoop file system; may be repeated. NAME is the"
              + " model's in SQL (default: of the folder that DIR is in).")
  private List<String> servers;

  @Option(
      names = "--port",
      defaultValue = "" + DEFAULT_PORT,
      paramLabel = "P",
      description = "0 for any that is free (default: ${DEFAULT-VALUE}).")
  private int port;

  @Option(
      names = "--address",
      defaultValue = "127.0.0.1",
      paramLabel = "ADDRESS",
      description = "To listen on (default: ${DEFAULT-VALUE}).")
  private String address;

  @Option(
      names = "--token-file",
      required = true,
      paramLabel = "FILE",
      description = "Its first line is the token that clients must send.")
  private Path tokenFile;

  @Option(
      names = "--any-query",
      description =
          "Answer any query, as of PySpark: whoever has the token can then run code there, and read"
              + " what the server can.")
  private boolean anyQuery;

  @Override
  public Integer call() throws InterruptedException {
    String token = RemoteServer.readToken(tokenFile);
    Map<String, String> models = models();
    SparkSession spark = sparkOptions.open("serve", BlockServer.settings());
    try (BlockServer server = BlockServer.open(spark)) {
      models.forEach(
          (model, folder) -> {
            for (RegisteredCircuit circuit : server.register(model, folder)) {
              System.out.printf(
                  "fhe.%s: module %s, circuit %s%n",
                  circuit.function(), circuit.module(), circuit.digest());
            }
          });
      int bound = server.start(address, port, token, anyQuery);
      System.out.println(
          "serving at sc://" + (address.equals("127.0.0.1") ? "localhost" : address) + ":" + bound);
      server.await();
    } finally {
      spark.stop();
    }
    return 0;
  }

  private Map<String, String> models() {
    Map<String, String> models = new LinkedHashMap<>();
    for (String each : servers) {
      int equals = each.indexOf('=');
      boolean isNamed = equals > 0 && !each.substring(0, equals).contains("/");
      String folder = isNamed ? each.substring(equals + 1) : each;
      path(folder);
      String name = isNamed ? each.substring(0, equals) : nameOf(folder);
      if (models.put(name, folder) != null) {
        throw new InvalidInputException(
            "--server: two models are called " + name + ": write NAME=DIR for one of them");
      }
    }
    return models;
  }

  private org.apache.hadoop.fs.Path path(String folder) {
    return HadoopPathConverter.convert(command.commandLine(), "--server", folder);
  }

  /** {@code /models/digits/server} is of the model digits. */
  private String nameOf(String folder) {
    org.apache.hadoop.fs.Path parent = path(folder).getParent();
    if (parent == null || parent.getName().isEmpty()) {
      throw new InvalidInputException("--server " + folder + ": give the model a name, NAME=DIR");
    }
    return parent.getName();
  }
}
