package org.fhespark.jobs.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.fhespark.jobs.cli.ChildProcess;
import org.fhespark.jobs.cli.CommandRun;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.Logits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * What `make dist` packed, alone in a folder, on PyPI's Spark: nothing of the checkout, of Maven or
 * of Rust is on the path, nor any variable of this process.
 */
@Tag("slow")
class DistributionTest {
  private static final String TAR_VARIABLE = "FHE_SPARK_TEST_DISTRIBUTION";
  private static final String SPARK_VARIABLE = "FHE_SPARK_TEST_SPARK_HOME";

  /** What the scripts of both call, and Hadoop: a shell and some of coreutils. */
  private static final List<String> PROGRAMS =
      List.of("bash", "chmod", "dirname", "id", "ln", "ls", "mv", "readlink", "rm", "stat");

  private static Path folder;
  private static Path unpacked;
  private static Path path;

  @BeforeAll
  static void unpack() throws Exception {
    String tar = System.getenv(TAR_VARIABLE);
    assertTrue(
        tar != null && Files.exists(Path.of(tar)),
        TAR_VARIABLE + " must name what `make dist` packed; `make test-all` sets it");
    folder = Digits.newFolder("distribution");
    CommandRun run =
        ChildProcess.run(List.of("tar", "-xzf", tar, "-C", folder.toString()), Map.of());
    assertEquals(0, run.status(), run.err());
    try (Stream<Path> folders = Files.list(folder)) {
      List<Path> found = folders.toList();
      assertEquals(1, found.size(), found.toString());
      unpacked = found.get(0);
    }
    path = Files.createDirectory(folder.resolve("path"));
    Files.createSymbolicLink(
        path.resolve("java"), Path.of(System.getProperty("java.home"), "bin", "java"));
    for (String program : PROGRAMS) {
      Files.createSymbolicLink(path.resolve(program), program(program));
    }
  }

  private static Path program(String name) {
    for (String place : System.getenv("PATH").split(":")) {
      Path file = Path.of(place, name);
      if (Files.isExecutable(file)) {
        return file;
      }
    }
    throw new AssertionError(name + " is not on the path");
  }

  /** Runs bin/fhe-spark with these variables and no others. */
  private static CommandRun run(List<String> variables, String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of("/usr/bin/env", "-i", "PATH=" + path));
    command.addAll(variables);
    command.add(unpacked.resolve("bin/fhe-spark").toString());
    command.addAll(List.of(arguments));
    return ChildProcess.run(command, Map.of());
  }

  private static void submit(String... arguments) throws Exception {
    String home = System.getenv(SPARK_VARIABLE);
    assertTrue(home != null, SPARK_VARIABLE + " must name a Spark distribution");
    CommandRun run =
        run(
            List.of(
                "SPARK_HOME=" + Path.of(home).toAbsolutePath(),
                "SPARK_LOCAL_IP=127.0.0.1",
                "FHE_SPARK_SUBMIT_OPTIONS=--master local[2] --conf spark.ui.enabled=false"),
            arguments);
    assertEquals(0, run.status(), String.join(" ", arguments) + ": " + run.err());
  }

  private static String example(String name) {
    return unpacked.resolve("examples/digits").resolve(name).toString();
  }

  @Test
  void scores_the_digits_encrypted_as_in_clear_on_a_spark_distribution() throws Exception {
    Path model = folder.resolve("model");
    Path keys = folder.resolve("keys");
    submit(
        "compile",
        "--model",
        example("digits.onnx"),
        "--remote",
        "seq.0",
        "--remote",
        "seq.2",
        "--remote",
        "seq.4",
        "--calibration",
        example("calibration.parquet"),
        "--out",
        model.toString());
    submit("keygen", "--client", model + "/client", "--out", keys.toString());
    List<Row> clear = score(model, "disable");
    List<Row> decrypted = score(model, "execute", "--keys", keys.toString());

    assertEquals(Digits.IMAGES, clear.size());
    assertEquals(0, Logits.differing(clear, decrypted), "values that differ");
    double accuracy = Logits.accuracy(decrypted);
    assertTrue(accuracy >= 0.97, "accuracy " + accuracy);
  }

  private static List<Row> score(Path model, String mode, String... more) throws Exception {
    Path output = folder.resolve("scored-" + mode);
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "score",
                "--client",
                model + "/client",
                "--server",
                model + "/server",
                "--input",
                example("digits.parquet"),
                "--output",
                output.toString(),
                "--mode",
                mode));
    arguments.addAll(List.of(more));
    submit(arguments.toArray(String[]::new));
    return Digits.read(output);
  }

  @Test
  void without_a_spark_says_in_one_line_what_to_set() throws Exception {
    CommandRun run = run(List.of(), "modules", "--model", example("digits.onnx"));

    assertEquals(2, run.status(), run.err());
    assertEquals(
        "fhe-spark: SPARK_HOME is not set, and there is no Spark in "
            + unpacked.resolve("lib")
            + ": set it to a Spark 4.1 distribution",
        run.err().strip());
  }

  @Test
  void names_the_licences_of_what_it_holds_of_others() throws IOException {
    String notices = Files.readString(unpacked.resolve("THIRD-PARTY.txt"));

    assertTrue(notices.contains("    tfhe "), "the crate tfhe");
    assertTrue(notices.contains("BSD-3-Clause-Clear"), "its licence");
    assertTrue(notices.contains("com.microsoft.onnxruntime:onnxruntime:"), "ONNX Runtime");
    assertTrue(Files.exists(unpacked.resolve("LICENSE")), "our own");
  }
}
