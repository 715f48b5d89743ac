package org.fhespark.connect;

/** The server, or what it kept of a session, is gone; what was asked may be asked again. */
public final class UnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * @param message what could not be done
   * @param cause what Spark's client said of it
   */
  public UnavailableException(String message, Throwable cause) {
    super(message, cause);
  }
}
