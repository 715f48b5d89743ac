package org.fhespark.jobs.tables;

/** The one line of a chain of exceptions that a user can use. */
public final class CauseLine {
  private static final int LONGEST = 240;

  private CauseLine() {}

  /** First line of the innermost message, shortened to 240 characters. */
  public static String of(Throwable thrown) {
    String message = null;
    for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause.getMessage() != null && !cause.getMessage().isBlank()) {
        message = cause.getMessage();
      }
    }
    if (message == null) {
      return thrown.getClass().getSimpleName();
    }
    String line = message.strip().lines().findFirst().orElse("");
    return line.length() <= LONGEST ? line : line.substring(0, LONGEST) + "…";
  }
}
