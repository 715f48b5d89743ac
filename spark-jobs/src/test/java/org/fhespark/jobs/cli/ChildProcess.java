package org.fhespark.jobs.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.fhespark.jobs.client.Digits;

/** Runs a command to its end. */
public final class ChildProcess {
  private static final int SECONDS = 600;

  private ChildProcess() {}

  /**
   * Runs a command.
   *
   * @param environment variables beside those of this process
   */
  public static CommandRun run(List<String> command, Map<String, String> environment)
      throws IOException, InterruptedException {
    Path folder = Digits.newFolder("child");
    Path out = folder.resolve("out");
    Path err = folder.resolve("err");
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().putAll(environment);
    Process process = builder.start();
    if (!process.waitFor(SECONDS, TimeUnit.SECONDS)) {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly().waitFor();
      throw new AssertionError(
          command + " did not end in " + SECONDS + " s; it said: " + Files.readString(err));
    }
    return new CommandRun(process.exitValue(), Files.readString(out), Files.readString(err));
  }
}
