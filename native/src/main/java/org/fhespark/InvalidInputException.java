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

  /**
   * @param message what is wrong, where, and what to do; line breaks are escaped
   */
  public InvalidInputException(String message) {
    super(oneLine(message));
  }

  /**
   * @param message what is wrong, where, and what to do; line breaks are escaped
   * @param cause for who debugs it; users see the message alone
   */
  public InvalidInputException(String message, Throwable cause) {
    super(oneLine(message), cause);
  }

  /** Names in messages come from files, which may have any characters in them. */
  private static String oneLine(String message) {
    if (message == null || message.codePoints().noneMatch(InvalidInputException::breaksLines)) {
      return message;
    }
    StringBuilder line = new StringBuilder();
    message
        .codePoints()
        .forEach(
            point -> {
              if (breaksLines(point)) {
                line.append("\\u%04x".formatted(point));
              } else {
                line.appendCodePoint(point);
              }
            });
    return line.toString();
  }

  /** Control characters among others, which a terminal would obey. */
  private static boolean breaksLines(int point) {
    int type = Character.getType(point);
    return type == Character.CONTROL
        || type == Character.LINE_SEPARATOR
        || type == Character.PARAGRAPH_SEPARATOR;
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
