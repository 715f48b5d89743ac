package org.fhespark.jobs.client;

/** Told how a run gets on; calls come from several threads. */
public interface ScoreProgress {
  /** Nothing is shown. */
  ScoreProgress SILENT = new ScoreProgress() {};

  /** The run begins; {@code records} is -1 if their number is not known. */
  default void started(long records) {}

  /** A wave enters a stage: so many blocks of these modules go to the executors. */
  default void blocksSent(String modules, int blocks) {}

  /** A block came back and is decrypted. */
  default void blockDone() {}

  /** So many more records are finished. */
  default void recordsDone(long records) {}

  /** The run has ended, well or not. */
  default void ended() {}
}
