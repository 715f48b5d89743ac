package org.fhespark;

import java.util.Optional;

/**
 * Something the user gave cannot be used: a file, column, tensor, module, key or option.
 *
 * <p>The message is one line that says what is wrong, where, and what to do; the command line
 * prints it as it is and exits with 2.
 */
public final class InvalidInputException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public InvalidInputException(String message) {
    super(message);
  }

  public InvalidInputException(String message, Throwable cause) {
    super(message, cause);
  }

  /** The outermost in a chain of causes, such as Spark's of a task that failed by it. */
  public static Optional<InvalidInputException> in(Throwable error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof InvalidInputException invalid) {
        return Optional.of(invalid);
      }
    }
    return Optional.empty();
  }
}
