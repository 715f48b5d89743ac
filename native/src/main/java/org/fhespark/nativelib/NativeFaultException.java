package org.fhespark.nativelib;

/** The native library failed in a way that no input explains: a panic, or memory that ran out. */
public final class NativeFaultException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** A fault, by what the panic or error said. */
  public NativeFaultException(String message) {
    super(message);
  }
}
