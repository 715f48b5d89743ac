package org.fhespark.compiler.modules;

/** What a module is, as far as going remote is concerned. */
public enum ModuleKind {
  /** A matrix product by constant weights, with or without bias. */
  LINEAR,
  /** A convolution by constant weights, with or without bias. */
  CONVOLUTION,
  /** A module that holds others. */
  CONTAINER,
  /** Any other module that leaves operators in the graph. */
  OPERATOR
}
