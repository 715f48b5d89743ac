package org.fhespark.connect.client;

import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.fhespark.InvalidInputException;
import org.fhespark.connect.UnavailableException;

/** What the server's refusals mean. */
final class Answers {
  /** How a refusal of ours looks in the message of the Spark job that failed by it. */
  private static final Pattern REFUSAL =
      Pattern.compile(Pattern.quote(InvalidInputException.class.getName()) + ": ([^\\r\\n]+)");

  /** Conditions of Spark that say that a session or query is no longer known. */
  private static final Pattern LOST =
      Pattern.compile(
          "INVALID_HANDLE\\.(SESSION_NOT_FOUND|SESSION_CLOSED|SESSION_CHANGED|OPERATION_NOT_FOUND"
              + "|OPERATION_ABANDONED)|INVALID_CURSOR|SparkContext was shut down"
              + "|stopped SparkContext|SparkContext has been shutdown|RST_STREAM|end-of-stream");

  private static final Pattern STATUS = Pattern.compile("Status(?:Runtime)?Exception: ([A-Z_]+)");

  /** Statuses of gRPC that tell of the connection, not of what was asked. */
  private static final Set<String> AWAY = Set.of("UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED");

  private static final String DENIED = "PERMISSION_DENIED";

  private static final Pattern NO_CATALOG =
      Pattern.compile("CATALOG_NOT_FOUND|MISSING_CATALOG_ABILITY|REQUIRES_SINGLE_PART_NAMESPACE");

  private Answers() {}

  static RuntimeException explain(Throwable error) {
    List<Throwable> causes = causes(error);
    for (Throwable cause : causes) {
      if (cause instanceof InvalidInputException refusal) {
        return refusal;
      }
      Matcher refusal = REFUSAL.matcher(String.valueOf(cause.getMessage()));
      if (refusal.find()) {
        return new InvalidInputException(refusal.group(1).strip(), error);
      }
    }
    for (Throwable cause : causes) {
      String message = String.valueOf(cause.getMessage());
      String code = code(message);
      if (code.equals("UNAUTHENTICATED")) {
        return new InvalidInputException(
            "the server refuses the token: give the file that it was started with (--token-file)",
            error);
      }
      if (code.equals(DENIED)) {
        String why = message.substring(message.indexOf(DENIED) + DENIED.length());
        return new InvalidInputException(
            "the server refuses what it is asked" + why.lines().findFirst().orElse(""), error);
      }
      if (NO_CATALOG.matcher(message).find()) {
        return new InvalidInputException(
            "the server has no catalog fhe: start it by `fhe-spark serve`, or with the settings in"
                + " conf/spark-defaults.conf",
            error);
      }
      if (AWAY.contains(code) || LOST.matcher(message).find()) {
        return new UnavailableException(firstLine(causes), error);
      }
    }
    return new IllegalStateException("the server failed: " + firstLine(causes), error);
  }

  /** The client tells a status of gRPC in the message of an exception of Spark. */
  private static String code(String message) {
    Matcher status = STATUS.matcher(message);
    return status.find() ? status.group(1) : "";
  }

  /** Of the last cause that says anything. */
  private static String firstLine(List<Throwable> causes) {
    String line = causes.get(0).getClass().getSimpleName();
    for (Throwable cause : causes) {
      if (cause.getMessage() != null && !cause.getMessage().isBlank()) {
        line = cause.getMessage().lines().findFirst().orElse(line);
      }
    }
    return line;
  }

  /** An error, its causes and what they suppressed. */
  private static List<Throwable> causes(Throwable error) {
    Set<Throwable> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    List<Throwable> found = new ArrayList<>();
    collect(error, seen, found);
    return found;
  }

  private static void collect(Throwable error, Set<Throwable> seen, List<Throwable> found) {
    if (error == null || !seen.add(error)) {
      return;
    }
    found.add(error);
    collect(error.getCause(), seen, found);
    for (Throwable suppressed : error.getSuppressed()) {
      collect(suppressed, seen, found);
    }
  }
}
