package org.fhespark.connect;

/** The server, or what it kept of a session, is gone; what was asked may be asked again. */
public final class UnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public UnavailableException(String message, Throwable cause) {
    super(message, cause);
  }
}
