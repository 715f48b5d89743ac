package org.fhespark.jobs.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.fhespark.jobs.cli.ChildProcess;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.jobs.client.Digits;

/** Two workers on loopback, of PyPI's Spark; the packaged jar goes to them by spark-submit. */
final class StandaloneCluster implements AutoCloseable {
  private static final String HOME_VARIABLE = "FHE_SPARK_TEST_SPARK_HOME";

  private final Path sparkHome;
  private final Path jar;
  private final Path folder;
  private final String master;

  private StandaloneCluster(Path sparkHome, Path jar, Path folder, String master) {
    this.sparkHome = sparkHome;
    this.jar = jar;
    this.folder = folder;
    this.master = master;
  }

  /**
   * @param folder gets logs and work folders
   */
  static StandaloneCluster start(Path folder) throws Exception {
    String home = System.getenv(HOME_VARIABLE);
    assertTrue(
        home != null && Files.exists(Path.of(home, "bin/spark-submit")),
        HOME_VARIABLE
            + " must name a Spark distribution, such as the folder of the pyspark package; `make"
            + " test-all` sets it");
    Path sparkHome = Path.of(home).toAbsolutePath();
    Path jar = Digits.checkout().resolve("spark-jobs/target/fhe-spark.jar");
    assertTrue(Files.exists(jar), jar + " is not built: run `make build`");
    CommandRun started =
        cluster(
            folder,
            "start",
            "--spark-home",
            sparkHome.toString(),
            "--workers",
            "2",
            "--memory",
            "1g");
    assertEquals(0, started.status(), started.err());
    return new StandaloneCluster(sparkHome, jar, folder, started.out().strip());
  }

  private static CommandRun cluster(Path folder, String action, String... more) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Digits.checkout().resolve("bin/spark-cluster").toString(),
                action,
                "--dir",
                folder.toString()));
    command.addAll(List.of(more));
    return ChildProcess.run(command, Map.of());
  }

  @Override
  public void close() throws Exception {
    cluster(folder, "stop");
  }

  String master() {
    return master;
  }

  Path jar() {
    return jar;
  }

  /** The command that submits one of ours, with settings of Spark's beside those of all. */
  List<String> submission(Map<String, String> settings, List<String> arguments) {
    List<String> command =
        new ArrayList<>(
            List.of(
                sparkHome.resolve("bin/spark-submit").toString(),
                "--master",
                master,
                "--executor-memory",
                "512m",
                "--conf",
                "spark.ui.enabled=false",
                "--conf",
                "spark.cores.max=2",
                // Both workers, before the first block is sent.
                "--conf",
                "spark.scheduler.minRegisteredResourcesRatio=1.0"));
    settings.forEach((name, value) -> command.addAll(List.of("--conf", name + "=" + value)));
    command.addAll(List.of("--class", "org.fhespark.jobs.cli.FheSpark", jar.toString()));
    command.addAll(arguments);
    return command;
  }

  Map<String, String> environment() {
    return Map.of("SPARK_HOME", sparkHome.toString(), "SPARK_LOCAL_IP", "127.0.0.1");
  }
}
