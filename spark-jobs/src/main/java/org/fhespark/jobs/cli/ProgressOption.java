package org.fhespark.jobs.cli;

import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.TerminalProgress;

/** When a progress bar is drawn. */
enum ProgressOption {
  AUTO,
  ALWAYS,
  NEVER;

  /** Whether one is drawn now: on a terminal, or as the user says. */
  boolean isDrawn() {
    return this == ALWAYS || this == AUTO && System.console() != null;
  }

  /** What draws one on standard error, if it is drawn. */
  ScoreProgress of(String task) {
    return isDrawn() ? new TerminalProgress(task, System.err) : ScoreProgress.SILENT;
  }
}
