package org.fhespark.jobs.fuzz;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.fhespark.InvalidInputException;

/** What all fuzz tests have in common. */
public final class Fuzzing {
  /** Of a test, unless the property {@code fuzz.inputs} says how many. */
  private static final int INPUTS = 300;

  private static final int LONGEST_INPUT = 48;
  private static final int MOST_FINDINGS = 20;
  private static final Duration LONGEST = Duration.ofSeconds(10);

  private Fuzzing() {}

  /** Reads what came of an input. */
  public interface Read {
    void run() throws Exception;
  }

  /** Reads an input of a fuzzer. */
  public interface Target {
    void run(byte[] input) throws Exception;
  }

  /**
   * Runs a parser, which may refuse what it reads, in one line.
   *
   * @throws AssertionError if the refusal has another form; whatever else the parser throws comes
   *     through
   */
  public static void read(Read parser) throws Exception {
    try {
      parser.run();
    } catch (InvalidInputException refusal) {
      String message = refusal.getMessage();
      if (message.isBlank() || message.lines().count() != 1) {
        throw new AssertionError("a refusal is one line: " + message, refusal);
      }
    }
  }

  /**
   * Gives a target its past findings, then inputs that are the same in every run of as many.
   *
   * @param name of the folder of past findings, one a file
   */
  public static void run(String name, Target target) throws Exception {
    Map<String, AssertionError> findings = new LinkedHashMap<>();
    try (Stream<Path> files = Files.list(Path.of("src/test/resources/fuzz").resolve(name))) {
      for (Path file : files.sorted().toList()) {
        note(file.toString(), Files.readAllBytes(file), target, findings);
      }
    }
    SplittableRandom random = new SplittableRandom(Integer.getInteger("fuzz.run", 2026));
    int count = Integer.getInteger("fuzz.inputs", INPUTS);
    for (int number = 0; number < count && findings.size() < MOST_FINDINGS; number++) {
      byte[] input = new byte[random.nextInt(1, LONGEST_INPUT)];
      random.nextBytes(input);
      note(HexFormat.of().formatHex(input), input, target, findings);
    }
    AssertionError all = new AssertionError(findings.keySet().toString());
    findings.values().forEach(all::addSuppressed);
    if (!findings.isEmpty()) {
      throw all;
    }
  }

  /** Runs an input on a thread of its own, since it might never come to an end. */
  private static void note(
      String name, byte[] input, Target target, Map<String, AssertionError> findings)
      throws InterruptedException {
    Throwable[] thrown = new Throwable[1];
    Thread thread =
        new Thread(
            () -> {
              try {
                target.run(input);
              } catch (Throwable error) {
                thrown[0] = error;
              }
            },
            "fuzz");
    thread.setDaemon(true);
    thread.start();
    thread.join(LONGEST.toMillis());
    Throwable error = thrown[0];
    if (thread.isAlive()) {
      error = new AssertionError("it takes longer than " + LONGEST);
      error.setStackTrace(thread.getStackTrace());
    }
    if (error != null) {
      findings.putIfAbsent(origin(error), new AssertionError("input " + name, error));
    }
  }

  /** Tells findings apart. */
  private static String origin(Throwable error) {
    return error.getClass().getName()
        + Stream.of(error.getStackTrace())
            .filter(frame -> frame.getClassName().startsWith("org.fhespark"))
            .findFirst()
            .map(frame -> " at " + frame)
            .orElse("");
  }
}
