package org.fhespark.jobs.cli;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Runs a command and then dumps the heap, garbage too: once the command has ended, or once a file
 * exists, whichever is first. Processes that the command started have ended afterwards. Arguments:
 * the dump, the file, the command's.
 */
final class DumpedCommand {
  private DumpedCommand() {}

  public static void main(String[] arguments) throws Exception {
    Path dump = Path.of(arguments[0]);
    Path ends = Path.of(arguments[1]);
    int[] status = {-1};
    Thread command =
        new Thread(
            () -> status[0] = FheSpark.run(Arrays.copyOfRange(arguments, 2, arguments.length)));
    command.start();
    while (command.isAlive() && !Files.exists(ends)) {
      command.join(100);
    }
    ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class)
        .dumpHeap(dump.toString(), false);
    for (ProcessHandle started : ProcessHandle.current().descendants().toList()) {
      started.destroyForcibly();
      started.onExit().get();
    }
    // Not exit: Spark's hooks would take their time over a query that runs.
    Runtime.getRuntime().halt(command.isAlive() ? 0 : status[0]);
  }
}
