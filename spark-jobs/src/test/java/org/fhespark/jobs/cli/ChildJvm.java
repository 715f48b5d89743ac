package org.fhespark.jobs.cli;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.fhespark.jobs.client.Digits;

/** Runs a class of the test class path in a JVM of its own, with the options of bin/fhe-spark. */
public final class ChildJvm {
  private final List<String> options = new ArrayList<>();
  private final Map<String, String> environment = new TreeMap<>();
  private String fileSizeLimit = "unlimited";

  public ChildJvm option(String option) {
    options.add(option);
    return this;
  }

  public ChildJvm environment(String name, String value) {
    environment.put(name, value);
    return this;
  }

  /** Has Spark start executors as processes, by master local-cluster, with files in a folder. */
  public ChildJvm executors(Path folder) throws IOException {
    Path home = folder.resolve("spark");
    Path jars = Files.createDirectories(home.resolve("jars"));
    for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
      Path jar = Path.of(entry);
      if (entry.endsWith(".jar") && Files.exists(jar)) {
        Files.createSymbolicLink(jars.resolve(jar.getFileName()), jar);
      }
    }
    return environment("SPARK_HOME", home.toString()).environment("SPARK_SCALA_VERSION", "2.13");
  }

  /** Has temporary files, of Spark's too, be in a folder. */
  ChildJvm temporary(Path folder) throws IOException {
    Files.createDirectories(folder);
    return option("-Djava.io.tmpdir=" + folder).environment("SPARK_LOCAL_DIRS", folder.toString());
  }

  /** `ulimit -f`, in units of 1 KiB. */
  ChildJvm fileSizeLimit(int kibibytes) {
    fileSizeLimit = Integer.toString(kibibytes);
    return this;
  }

  /** Runs the class's main and waits for its end. */
  public CommandRun run(Class<?> main, List<String> arguments)
      throws IOException, InterruptedException {
    Path conf = Digits.checkout().resolve("conf");
    List<String> command =
        new ArrayList<>(
            List.of("bash", "-c", "ulimit -f " + fileSizeLimit + "; exec \"$@\"", "bash"));
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("@" + conf.resolve("jvm-options"));
    command.addAll(List.of("-Xmx1g", "-XX:-UsePerfData"));
    command.add("-Dlog4j2.configurationFile=" + conf.resolve("log4j2.properties"));
    command.addAll(options);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    command.addAll(arguments);
    environment.put("SPARK_LOCAL_IP", "127.0.0.1");
    return ChildProcess.run(command, environment);
  }
}
