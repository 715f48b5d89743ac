package org.fhespark.jobs.cli;

import java.util.Locale;

/** What commands say of rows that were drawn into the range of a leveled circuit. */
final class ClampedRows {
  private ClampedRows() {}

  /** Says nothing if there are none. */
  static void print(long rows) {
    if (rows > 0) {
      System.out.printf(
          Locale.ROOT,
          "  %,d rows lay beyond the range of a leveled circuit and were drawn into it: their results"
              + " are wrong; calibrate with records like these%n",
          rows);
    }
  }
}
