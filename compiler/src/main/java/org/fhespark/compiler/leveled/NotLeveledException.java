package org.fhespark.compiler.leveled;

/** Why a module cannot be a leveled circuit: one clause, which follows the module's name. */
public final class NotLeveledException extends Exception {
  private static final long serialVersionUID = 1;

  /** A reason such as "the output also reads the row itself". */
  NotLeveledException(String reason) {
    super(reason);
  }
}
