package org.fhespark.udf;

/** An evaluation key as it is broadcast: the bytes of its file, whose SHA-256 names it. */
public final class EvaluationKeyBytes extends NamedBytes {
  private static final long serialVersionUID = 1L;

  /** For Kryo. */
  @SuppressWarnings("unused")
  private EvaluationKeyBytes() {}

  /** Takes the bytes, which may be many; they must not change any more. */
  public EvaluationKeyBytes(byte[] file) {
    super(file);
  }
}
