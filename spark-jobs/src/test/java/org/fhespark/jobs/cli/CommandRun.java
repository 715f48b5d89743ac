package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * A command that has ended.
 *
 * @param status its exit status
 * @param out what it wrote on standard output
 * @param err what it wrote on standard error
 */
public record CommandRun(int status, String out, String err) {
  /** Runs a command in this process. */
  static CommandRun of(String... arguments) {
    PrintStream out = System.out;
    PrintStream err = System.err;
    ByteArrayOutputStream outBytes = new ByteArrayOutputStream();
    ByteArrayOutputStream errBytes = new ByteArrayOutputStream();
    int status;
    try {
      System.setOut(new PrintStream(outBytes, true, StandardCharsets.UTF_8));
      System.setErr(new PrintStream(errBytes, true, StandardCharsets.UTF_8));
      status = FheSpark.run(arguments);
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
    return new CommandRun(
        status,
        outBytes.toString(StandardCharsets.UTF_8),
        errBytes.toString(StandardCharsets.UTF_8));
  }

  static CommandRun of(List<String> arguments) {
    return of(arguments.toArray(String[]::new));
  }

  public void assertDone() {
    assertEquals(0, status, err);
    assertEquals("", err);
  }

  /** Exit 2 with exactly one line on standard error, which names these things. */
  public void assertRefused(String... names) {
    assertEquals(2, status, err);
    assertEquals(1, err.lines().count(), err);
    assertTrue(err.startsWith("fhe-spark"), err);
    for (String name : names) {
      assertTrue(err.contains(name), "'" + name + "' is not in: " + err);
    }
    assertEquals("", out);
  }

  /** The same, among what Spark logs of its failed tasks; there may be output. */
  void assertRefusedAmongLogs(String... names) {
    assertEquals(2, status, err);
    List<String> lines = err.lines().filter(line -> line.startsWith("fhe-spark ")).toList();
    assertEquals(1, lines.size(), err);
    for (String name : names) {
      assertTrue(lines.get(0).contains(name), "'" + name + "' is not in: " + lines.get(0));
    }
  }
}
