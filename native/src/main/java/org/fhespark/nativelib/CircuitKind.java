package org.fhespark.nativelib;

/** What a circuit file says that it is: see {@code native/crates/fhe-core/src/circuit.rs}. */
enum CircuitKind {
  LOOKUPS(2),
  LEVELED(3);

  /** Behind magic and version. */
  private static final int OFFSET = 6;

  private final byte code;

  CircuitKind(int code) {
    this.code = (byte) code;
  }

  /** Whether a file is of this kind, by its head alone. */
  boolean isOf(byte[] file) {
    return file.length > OFFSET && file[OFFSET] == code;
  }
}
