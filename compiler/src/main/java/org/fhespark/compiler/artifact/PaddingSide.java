package org.fhespark.compiler.artifact;

/** Where a sequence is padded. */
public enum PaddingSide {
  /** After its last token. */
  BEHIND,
  /** Before its first. */
  BEFORE
}
