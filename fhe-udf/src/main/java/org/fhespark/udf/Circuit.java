package org.fhespark.udf;

import org.fhespark.nativelib.KeyedCircuit;

/** A circuit as it is broadcast: the bytes of its file, whose SHA-256 names it. */
public final class Circuit extends NamedBytes {
  private static final long serialVersionUID = 1L;

  /** For Kryo. */
  @SuppressWarnings("unused")
  private Circuit() {}

  /** Of a file's bytes, which are copied. */
  public Circuit(byte[] file) {
    super(file.clone());
  }

  /** Whether the client's evaluation key is needed. */
  public boolean takesEvaluationKey() {
    return KeyedCircuit.isOne(file());
  }
}
