package org.fhespark.compiler.storage;

import java.nio.file.FileSystemException;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;

/** What to tell about a path of the user's that a file system refuses. */
public final class UnusablePath {
  private UnusablePath() {}

  /** One line about a path that could not be read. */
  public static InvalidInputException reading(Path path, Throwable refusal) {
    return new InvalidInputException(
        path
            + ": cannot be read: "
            + reason(refusal)
            + "; check the path and that you may read what is there",
        refusal);
  }

  /** One line about a path that could not be written. */
  public static InvalidInputException writing(Path path, Throwable refusal) {
    return new InvalidInputException(
        path
            + ": cannot be written: "
            + reason(refusal)
            + "; give a folder that you may write to and that has space",
        refusal);
  }

  private static String reason(Throwable refusal) {
    String message =
        refusal.getMessage() == null
            ? ""
            : refusal.getMessage().strip().lines().findFirst().orElse("");
    // Some of these hold nothing but the path.
    boolean bare = refusal instanceof FileSystemException file && file.getReason() == null;
    String kind = refusal.getClass().getSimpleName();
    return message.isEmpty() ? kind : bare ? kind + " " + message : message;
  }
}
