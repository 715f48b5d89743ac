package org.fhespark.udf;

/**
 * A client's public key as it is broadcast: the bytes of its file, whose SHA-256 names it; some ten
 * kilobytes.
 */
public final class PublicKeyBytes extends NamedBytes {
  private static final long serialVersionUID = 1L;

  /** For Kryo. */
  @SuppressWarnings("unused")
  private PublicKeyBytes() {}

  /** Of a file's bytes, which are copied. */
  public PublicKeyBytes(byte[] file) {
    super(file.clone());
  }

  /** A copy. */
  public byte[] toByteArray() {
    return file().clone();
  }
}
