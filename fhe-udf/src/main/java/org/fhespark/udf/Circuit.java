package org.fhespark.udf;

/** A circuit as it is broadcast: the bytes of its file, whose SHA-256 names it. */
public final class Circuit extends NamedBytes {
  private static final long serialVersionUID = 1L;

  /** For Kryo. */
  @SuppressWarnings("unused")
  private Circuit() {}

  public Circuit(byte[] file) {
    super(file.clone());
  }
}
