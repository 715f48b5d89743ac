package org.fhespark.jobs.server;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.fhespark.jobs.cli.FheSpark;
import org.fhespark.jobs.client.Digits;

/** `fhe-spark serve` in a process of its own, which a test may kill. */
final class ServedModels implements AutoCloseable {
  private static final Pattern SERVING = Pattern.compile("serving at sc://localhost:(\\d+)");

  /** What it logs of each block, with the client's number and key. */
  private static final Pattern EVALUATED =
      Pattern.compile("evaluated block (\\d+) of \\d+ records under key (\\p{XDigit}+)");

  private static final int SECONDS = 180;

  private final Process process;
  private final Path said;
  private final Path err;
  private final int port;

  private ServedModels(Process process, Path said, Path err) throws Exception {
    this.process = process;
    this.said = said;
    this.err = err;
    this.port = awaitPort();
  }

  /**
   * Starts it and waits until it serves.
   *
   * @param port 0 for any
   * @param models as the option {@code --server} takes them
   * @param more options
   */
  static ServedModels start(int port, Path tokenFile, List<String> models, String... more)
      throws Exception {
    Path conf = Digits.checkout().resolve("conf");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("@" + conf.resolve("jvm-options"));
    command.addAll(List.of("-Xmx1g", "-XX:-UsePerfData"));
    command.add(
        "-Dlog4j2.configurationFile="
            + conf.resolve("log4j2.properties")
            + ",classpath:evaluated-blocks.properties");
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(FheSpark.class.getName());
    command.addAll(serve(port, tokenFile, models));
    command.addAll(List.of(more));
    return start(command, Map.of());
  }

  /** The packaged jar, by bin/fhe-spark on a Spark distribution; it answers any query. */
  static ServedModels onDistribution(Path sparkHome, Path tokenFile, List<String> models)
      throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Digits.checkout().resolve("bin/fhe-spark").toString());
    command.addAll(serve(0, tokenFile, models));
    command.add("--any-query");
    return start(command, Map.of("SPARK_HOME", sparkHome.toString()));
  }

  private static List<String> serve(int port, Path tokenFile, List<String> models) {
    List<String> command = new ArrayList<>();
    command.addAll(List.of("serve", "--master", "local[2]", "--conf", "spark.ui.enabled=false"));
    command.addAll(List.of("--port", Integer.toString(port), "--token-file", tokenFile.toString()));
    for (String model : models) {
      command.addAll(List.of("--server", model));
    }
    return command;
  }

  private static ServedModels start(List<String> command, Map<String, String> environment)
      throws Exception {
    Path folder = Digits.newFolder("serve");
    Path out = folder.resolve("out");
    Path err = folder.resolve("err");
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().put("SPARK_LOCAL_IP", "127.0.0.1");
    builder.environment().putAll(environment);
    return new ServedModels(builder.start(), out, err);
  }

  private int awaitPort() throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
    while (System.nanoTime() < end && process.isAlive()) {
      Matcher serving = SERVING.matcher(Files.readString(said));
      if (serving.find()) {
        return Integer.parseInt(serving.group(1));
      }
      Thread.sleep(100);
    }
    close();
    throw new AssertionError("the server does not serve: " + Files.readString(err));
  }

  int port() {
    return port;
  }

  String url() {
    return "sc://localhost:" + port;
  }

  /** All that it said. */
  String output() throws IOException {
    return Files.readString(said) + Files.readString(err);
  }

  /**
   * The numbers of the blocks of a client that it has evaluated so far, in that order.
   *
   * @param key id of the client key
   */
  List<Long> evaluated(String key) throws IOException {
    return EVALUATED
        .matcher(Files.readString(err))
        .results()
        .filter(line -> line.group(2).equals(key))
        .map(line -> Long.valueOf(line.group(1)))
        .toList();
  }

  /** Its command line, as every user of the machine sees it. */
  String commandLine() throws IOException {
    return Files.readString(Path.of("/proc", Long.toString(process.pid()), "cmdline"));
  }

  /** Kills it at once. */
  @Override
  public void close() throws InterruptedException {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly().waitFor();
  }
}
