package org.fhespark.jobs.server;

/** What an evaluation does with blocks and files of blocks that it cannot evaluate. */
public enum CorruptBlocks {
  /** It ends, and names the first. */
  FAIL,

  /** It goes on, and puts them into a table beside the results. */
  QUARANTINE
}
