package org.fhespark.jobs.cli;

import java.util.Locale;
import org.apache.hadoop.fs.Path;
import org.fhespark.jobs.client.RoundReport;

/** What encrypt and decrypt say when they are done. */
final class RoundLines {
  private RoundLines() {}

  static void print(String command, RoundReport report, Path wrote) {
    System.out.printf(
        Locale.ROOT, "%s: %d records in %.2f s%n", command, report.records(), report.seconds());
    if (report.lost() > 0) {
      System.out.printf(
          "  %d records have no outputs: results of their blocks are missing or damaged%n",
          report.lost());
    }
    ClampedRows.print(report.clampedRows());
    if (report.isScored()) {
      System.out.printf("  all %d rounds are done%n", report.rounds());
    } else {
      System.out.printf(
          Locale.ROOT,
          "  round %d of %d: %d blocks, %.1f MB, to be evaluated and decrypted%n",
          report.round(),
          report.rounds(),
          report.blocks(),
          report.bytes() / 1e6);
    }
    System.out.println("wrote " + wrote);
  }
}
