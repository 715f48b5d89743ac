package org.fhespark.jobs.cli;

/** When a progress bar is drawn. */
enum ProgressOption {
  AUTO,
  ALWAYS,
  NEVER;

  /** Whether one is drawn now: on a terminal, or as the user says. */
  boolean isDrawn() {
    return this == ALWAYS || this == AUTO && System.console() != null;
  }
}
