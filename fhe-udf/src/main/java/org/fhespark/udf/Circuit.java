package org.fhespark.udf;

/** A circuit as it is broadcast: the bytes of its file, whose SHA-256 names it. */
public final class Circuit extends NamedBytes {
  private static final long serialVersionUID = 1L;

  /** Where its file says its kind, and the kind that has look-ups. */
  private static final int KIND = 6;

  private static final byte WITH_LOOKUPS = 2;

  /** For Kryo. */
  @SuppressWarnings("unused")
  private Circuit() {}

  /** Of a file's bytes, which are copied. */
  public Circuit(byte[] file) {
    super(file.clone());
  }

  /** Whether it looks values up, so that an evaluation key is needed. */
  public boolean hasLookups() {
    return length() > KIND && file()[KIND] == WITH_LOOKUPS;
  }
}
