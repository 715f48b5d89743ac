package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.Mode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Wrong usage, and commands that need no Spark. */
class UsageTest {
  @Test
  void anUnknownCommandIsNamed() {
    CommandRun.of("scroe").assertRefused("scroe");
  }

  @Test
  void noCommandShowsTheUsage() {
    CommandRun run = CommandRun.of();
    assertEquals(2, run.status());
    assertTrue(run.err().contains("score"), run.err());
  }

  @Test
  void helpIsNoError() {
    for (String command : new String[] {"modules", "compile", "keygen", "score"}) {
      CommandRun run = CommandRun.of(command, "--help");
      run.assertDone();
      assertTrue(run.out().contains("Usage: fhe-spark " + command), run.out());
    }
  }

  @Test
  void anUnknownOptionIsNamed() {
    CommandRun.of("modules", "--modle", "m.onnx", "--model", "m.onnx").assertRefused("--modle");
  }

  @Test
  void aMissingRequiredOptionIsNamed() {
    CommandRun.of("keygen", "--out", "keys").assertRefused("--client");
    CommandRun.of("modules").assertRefused("--model");
    CommandRun.of("score", "--client", "c", "--server", "s", "--output", "o")
        .assertRefused("--input");
    CommandRun.of("compile", "--model", "m", "--calibration", "c", "--out", "o")
        .assertRefused("--remote");
    CommandRun.of("compile", "--model", "m", "--remote", "k", "--out", "o")
        .assertRefused(": give --calibration DATA or --statistics FILE (fhe-spark compile --help)");
    CommandRun.of("score", "--client", "c", "--server", "s", "--input", "i")
        .assertRefused("--output");
  }

  @Test
  void valuesOfOptionsAreToldAsTheyAreWritten() {
    CommandRun.of("compile", "--server-kernel", "x").assertRefused("amx, avx512-vnni, avx2");
    CommandRun.of("compile", "--expected-batch", "x").assertRefused("--expected-batch", "'x'");
  }

  @Test
  void recordsAndStatisticsExcludeEachOther() {
    CommandRun.of(
            "compile",
            "--model",
            "m",
            "--remote",
            "k",
            "--out",
            "o",
            "--calibration",
            "c",
            "--statistics",
            "s")
        .assertRefused("compile: --calibration=DATA, --statistics=FILE are mutually exclusive");
  }

  @Test
  void statisticsGoWithModeCalibrateAndNoOther() {
    String[] score = {"score", "--client", "c", "--server", "s", "--input", "i", "--mode"};
    CommandRun.of(Stream.concat(Arrays.stream(score), Stream.of("calibrate")).toList())
        .assertRefused("calibrate", "--statistics");
    List<String> torch =
        Stream.concat(
                Arrays.stream(score), Stream.of("torch", "--output", "o", "--statistics", "f"))
            .toList();
    CommandRun.of(torch).assertRefused("--statistics", "torch");
  }

  @Test
  void helpExplainsEveryMode() {
    String help = CommandRun.of("score", "--help").out();
    for (Mode mode : Mode.values()) {
      assertTrue(help.contains(mode.lowerCase() + ":"), help);
    }
  }

  @Test
  void anOptionWithoutItsValueIsNamed() {
    CommandRun.of("modules", "--model").assertRefused("--model");
  }

  @Test
  void anUnknownModeListsTheModes() {
    CommandRun.of(
            "score",
            "--client",
            "c",
            "--server",
            "s",
            "--input",
            "i",
            "--output",
            "o",
            "--mode",
            "simulat")
        .assertRefused(
            "'--mode': expected one of torch, calibrate, disable, simulate, execute, remote but was"
                + " 'simulat'");
  }

  @Test
  void remoteGoesWithAnAddressAndAToken() throws Exception {
    List<String> score =
        List.of("score", "--client", "c", "--keys", "k", "--input", "i", "--output", "o");
    String address = "sc://localhost:1";
    CommandRun.of(with(score, "--mode", "remote", "--server", "s"))
        .assertRefused("mode remote", "sc://HOST:PORT");
    CommandRun.of(with(score, "--mode", "execute", "--server", address))
        .assertRefused(address, "execute");
    CommandRun.of(with(score, "--mode", "remote", "--server", address))
        .assertRefused("--token-file");
  }

  @Test
  void serveNeedsATokenAndPathsThatCanBe() throws Exception {
    Path token = Digits.newFolder("token").resolve("token");
    List<String> serve = List.of("serve", "--token-file", token.toString());
    CommandRun.of(with(serve, "--server", "s/server")).assertRefused("token: no such file");
    Files.writeString(token, "\n");
    CommandRun.of(with(serve, "--server", "s/server")).assertRefused("is empty");
    Files.writeString(token, "secret");
    CommandRun.of(with(serve, "--server", "a:b")).assertRefused("--server", "a:b");
    CommandRun.of(with(serve, "--server", "server")).assertRefused("NAME=DIR");
    CommandRun.of(with(serve, "--server", "m=a", "--server", "m=b")).assertRefused("called m");
  }

  private static List<String> with(List<String> arguments, String... more) {
    return Stream.concat(arguments.stream(), Arrays.stream(more)).toList();
  }

  @Test
  void modulesListsKeysKindsAndWhyNot() {
    CommandRun run = CommandRun.of("modules", "--model", Digits.file("digits.onnx").toString());
    run.assertDone();
    assertTrue(run.out().contains("seq.0"), run.out());
    assertTrue(run.out().contains("weight [128, 64]"), run.out());
    assertTrue(run.out().contains("no: holds no product by weights"), run.out());
    assertTrue(run.out().contains("yes, by look-ups"), run.out());
  }

  @Test
  void aModelThatIsMissingIsNamed() {
    CommandRun.of("modules", "--model", "/no/such/model.onnx").assertRefused("/no/such/model.onnx");
  }

  @Test
  void aModelThatIsNoOnnxFileIsNamed() throws Exception {
    Path file = Digits.newFolder("model").resolve("text.onnx");
    Files.writeString(file, "These are not the bytes you are looking for.\n".repeat(20));
    CommandRun.of("modules", "--model", file.toString()).assertRefused("text.onnx", "ONNX");
    Files.write(file, new byte[0]);
    CommandRun.of("modules", "--model", file.toString()).assertRefused("text.onnx", "ONNX");
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.01, 0.2, 0.5, 0.9, 0.999})
  void aTruncatedModelIsNamed(double share) throws Exception {
    byte[] whole = Files.readAllBytes(Digits.file("digits.onnx"));
    Path file = Digits.newFolder("model").resolve("half.onnx");
    Files.write(file, Arrays.copyOf(whole, (int) (share * whole.length)));
    CommandRun.of("modules", "--model", file.toString()).assertRefused("half.onnx");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "::", "a:b", "nosuchscheme://x/y", "hdfs://", "http://[bad"})
  void aPathThatCannotBeOneIsNamed(String path) {
    CommandRun.of("modules", "--model", path).assertRefused(path);
    CommandRun.of("keygen", "--client", path, "--out", Digits.newFolder("keys").toString())
        .assertRefused(path);
  }
}
