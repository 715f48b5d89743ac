package org.fhespark.compiler.artifact;

/** Where a sequence is padded. */
public enum PaddingSide {
  BEHIND,
  BEFORE
}
