package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.fhespark.jobs.client.Digits;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CompileTest {
  private Path folder;
  private Path out;

  @BeforeEach
  void chooseAnOutput() {
    folder = Digits.newFolder("compile");
    out = folder.resolve("model");
  }

  private CommandRun compile(Path model, Path calibration, Path target, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "compile",
                "--model",
                model.toString(),
                "--calibration",
                calibration.toString(),
                "--out",
                target.toString()));
    arguments.addAll(List.of(more));
    return CommandRun.of(arguments);
  }

  private CommandRun compile(String... more) {
    return compile(Digits.file("digits.onnx"), Digits.file("calibration.parquet"), out, more);
  }

  private void assertNothingIsLeft() throws Exception {
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(), left.toList());
    }
  }

  private Path calibration(String lines) throws Exception {
    Path file = Digits.newFolder("calibration").resolve("calibration.json");
    return Files.writeString(file, lines);
  }

  private static String record(String pixel) {
    return "{\"pixels\": [" + "0.5, ".repeat(63) + pixel + "]}\n";
  }

  @Test
  void aModelIsCompiledAndCompiledAgainInItsPlace() throws Exception {
    for (int run = 0; run < 2; run++) {
      CommandRun done = compile("--remote", "seq.0", "--remote", "seq.4");
      done.assertDone();
      assertTrue(done.out().contains("seq.0: 64 -> 128"), done.out());
      try (Stream<Path> made = Files.list(folder)) {
        assertEquals(List.of(out), made.toList());
      }
      try (Stream<Path> files = Files.walk(out)) {
        assertEquals(List.of(), files.filter(file -> file.toString().endsWith(".crc")).toList());
      }
    }
  }

  @Test
  void aLineAModuleSaysWhichParametersWereChosenAndWhy() {
    CommandRun run = compile("--remote", "seq.0", "--remote", "seq.2");
    run.assertDone();
    String line =
        "seq\\.[02]: \\d+ -> \\d+, p = \\d+ of 8-bit weights x \\d+-bit activations;"
            + " \\(k,N\\) = \\(\\d+,\\d+\\), q = 2\\^\\d+, bodies \\d bytes up, results \\d\\+\\d bytes:"
            + " cheapest of \\d+ candidates that decrypt right, with probability"
            + " 1 - 2\\^-\\d+\\.\\d a value; [\\d,]+ ns a record:"
            + " \\d+ % server, \\d+ % client, \\d+ % wire;"
            + " next best \\+\\d+\\.\\d %, mostly (server|client|wire): .+";
    assertEquals(2, run.out().lines().filter(l -> l.matches(line)).count(), run.out());
  }

  @Test
  void whatIsExpectedDecidesWhatIsCheapest() {
    String usual = choiceOf("seq.0");
    assertTrue(choiceOf("seq.0", "--expected-batch", "1").contains(",64),"), "one record");
    assertNotEquals(usual, choiceOf("seq.0", "--expected-batch", "1"));
    assertNotEquals(usual, choiceOf("seq.0", "--server-kernel", "portable"));
    assertNotEquals(usual, choiceOf("seq.0", "--wire-gigabits", "0.1"));
  }

  @Test
  void limbsTooFewForExactnessAreTakenAndSaid() {
    CommandRun run = compile("--remote", "seq.0", "--remote", "seq.2", "--limbs", "seq.2=3");
    run.assertDone();
    assertTrue(run.out().contains("q = 2^24"), run.out());
    assertTrue(run.out().contains("p-error 2^-40.0 is not met"), run.out());
    assertEquals(1, run.out().lines().filter(line -> line.contains("is not met")).count());
    compile("--remote", "seq.0", "--limbs", "8").assertRefused("limbs", "3 to 7");
    compile("--remote", "seq.0", "--limbs", "seq.9=4").assertRefused("limbs", "seq.9");
  }

  @Test
  void theEngineOfAModuleWithNonLinearitiesIsChosenOrAskedForAndSaid() {
    CommandRun chosen =
        compile(Digits.file("mlp.onnx"), Digits.file("calibration.parquet"), out, "--remote", ".");
    chosen.assertDone();
    assertTrue(chosen.out().contains(".: 64 -> 10, blocks of up to 8,192 rows on"), chosen.out());
    assertTrue(
        chosen.out().contains("128-bit security up to 2^214, ePrint 2024/463"), chosen.out());
    assertTrue(chosen.out().contains("engine simd: 4,096 rows take"), chosen.out());
    CommandRun exact =
        compile(
            Digits.file("mlp.onnx"),
            Digits.file("calibration.parquet"),
            out,
            "--remote",
            ".",
            "--engine",
            ".=simd",
            "--simd-error",
            "0.01");
    exact.assertDone();
    assertTrue(exact.out().contains("engine simd: it was asked for"), exact.out());
    assertTrue(exact.out().contains("polynomials of degree 30 for 32 neurons"), exact.out());
    compile("--remote", ".", "--engine", "fast").assertRefused("--engine", "none of auto, pbs");
    compile("--remote", ".", "--engine", "seq.9=simd").assertRefused("engines", "seq.9");
    compile("--remote", ".", "--simd-error", "2").assertRefused("simd error", "up to 1");
  }

  private String choiceOf(String module, String... options) {
    List<String> arguments = new ArrayList<>(List.of("--remote", module));
    arguments.addAll(List.of(options));
    CommandRun run = compile(arguments.toArray(String[]::new));
    run.assertDone();
    return run.out().lines().findFirst().orElseThrow();
  }

  @Test
  void bitsCanBeGivenForOneModuleAndForAllOthers() {
    CommandRun run =
        compile(
            "--remote",
            "seq.0",
            "--remote",
            "seq.2",
            "--weight-bits",
            "6",
            "--weight-bits",
            "seq.2=4",
            "--activation-bits",
            "seq.0=7");
    run.assertDone();
    assertTrue(run.out().contains("6-bit weights x 7-bit activations"), run.out());
    assertTrue(
        run.out().lines().anyMatch(l -> l.matches("seq\\.2: .* of 4-bit weights .*")), run.out());
  }

  @Test
  void anUnknownModuleIsNamedWithNearMatches() throws Exception {
    compile("--remote", "seq.6").assertRefused("seq.6", "seq.0", "fhe-spark modules");
    compile("--remote", "sqe.0").assertRefused("sqe.0", "seq.0");
    assertNothingIsLeft();
  }

  @Test
  void aReluCannotGoRemoteAndTheReasonIsGiven() throws Exception {
    compile("--remote", "seq.1")
        .assertRefused("'seq.1'", "cannot go remote", "no product by weights");
    assertNothingIsLeft();
  }

  @Test
  void aModuleNamedTwiceIsRefused() {
    compile("--remote", "seq.0", "--remote", "seq.0").assertRefused("seq.0", "twice");
  }

  @ParameterizedTest
  @CsvSource({
    "--activation-bits, 3",
    "--activation-bits, 17",
    "--activation-bits, -8",
    "--activation-bits, eight",
    "--activation-bits, 8.5",
    "--weight-bits, 9",
    "--weight-bits, 1",
    "--weight-bits, many",
    "--weight-bits, seq.0=9",
    "--weight-bits, seq.0=many",
    "--weight-bits, seq.2=4",
    "--activation-bits, seq.0=3",
    "--padding-mask, pixel",
    "--quantization, sometimes",
    "--p-error, nonsense",
    "--p-error, 2^",
    "--p-error, 2^x",
    "--p-error, 2^3",
    "--p-error, 1",
    "--p-error, 0",
    "--p-error, -0.5",
    "--p-error, NaN",
    "--p-error, 2^-100000",
    "--expected-batch, 0",
    "--expected-batch, 1000000000",
    "--expected-batch, 99999999999999",
    "--server-kernel, abacus",
    "--wire-gigabits, 0",
    "--wire-gigabits, fast"
  })
  void anOptionOutOfItsRangeIsNamed(String option, String value) throws Exception {
    String name = option.substring(2).replace('-', ' ').replace("p error", "p-error");
    CommandRun run = compile("--remote", "seq.0", option, value);
    run.assertRefused();
    assertTrue(run.err().contains(option) || run.err().contains(name), run.err());
    assertNothingIsLeft();
  }

  @Test
  void aModelThatIsNoOnnxFileIsNamed() throws Exception {
    compile(
            Digits.file("digits.parquet"),
            Digits.file("calibration.parquet"),
            out,
            "--remote",
            "seq.0")
        .assertRefused("digits.parquet", "ONNX");
    assertNothingIsLeft();
  }

  @Test
  void aNanInTheCalibrationIsNamed() throws Exception {
    Path nan = calibration(record("0.1") + record("\"NaN\""));
    compile(Digits.file("digits.onnx"), nan, out, "--remote", "seq.0").assertRefused("pixels");
    assertNothingIsLeft();
  }

  @Test
  void anInfinityInTheCalibrationIsNamed() throws Exception {
    Path huge = calibration(record("0.1") + record("1e300"));
    compile(Digits.file("digits.onnx"), huge, out, "--remote", "seq.0").assertRefused("pixels");
    assertNothingIsLeft();
  }

  @Test
  void aMissingOrEmptyCalibrationIsNamed() throws Exception {
    Path missing = folder.resolve("none.parquet");
    compile(Digits.file("digits.onnx"), missing, out, "--remote", "seq.0")
        .assertRefused(missing.toString(), "does not exist");
    Path empty = calibration("");
    compile(Digits.file("digits.onnx"), empty, out, "--remote", "seq.0")
        .assertRefused(empty.toString(), "empty");
    assertNothingIsLeft();
  }

  @Test
  void calibrationOfZerosOnlyStillCompilesOrSaysWhyNot() throws Exception {
    Path zeros = calibration(record("0").replace("0.5", "0"));
    CommandRun run = compile(Digits.file("digits.onnx"), zeros, out, "--remote", "seq.0");
    if (run.status() != 0) {
      run.assertRefused("seq.0");
    }
    CommandRun fixed =
        compile(
            Digits.file("digits.onnx"),
            zeros,
            out,
            "--remote",
            "seq.0",
            "--quantization",
            "static");
    if (fixed.status() != 0) {
      fixed.assertRefused("static");
    }
  }

  @Test
  void anOutputBelowAFileIsNamed() throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "no folder");
    compile(
            Digits.file("digits.onnx"),
            Digits.file("calibration.parquet"),
            file.resolve("model"),
            "--remote",
            "seq.0")
        .assertRefused(file.toString());
  }

  @Test
  void anOutputThatTheSystemRefusesIsNamed() {
    compile(
            Digits.file("digits.onnx"),
            Digits.file("calibration.parquet"),
            Path.of("/proc/fhe-spark-model"),
            "--remote",
            "seq.0")
        .assertRefused("/proc/fhe-spark-model");
  }

  @Test
  void anOutputThatHoldsSomethingElseIsKept() throws Exception {
    Files.createDirectories(out);
    Path precious = Files.writeString(out.resolve("precious.txt"), "mine");
    compile("--remote", "seq.0").assertRefused(out.toString(), "precious.txt");
    assertEquals("mine", Files.readString(precious));
  }

  @ParameterizedTest
  @ValueSource(strings = {"nonsense", "local[x]"})
  void aMasterThatSparkDoesNotKnowIsNamed(String master) {
    compile("--remote", "seq.0", "--master", master).assertRefused(master);
  }
}
