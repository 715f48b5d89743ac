package org.fhespark.jobs.client;

/** What decryption does with blocks whose results are missing or damaged. */
public enum LostResults {
  /** It ends, and names them. */
  FAIL,

  /**
   * It goes on: the records of these blocks are in no later round, and their outputs are null in
   * the scored table.
   */
  NULL
}
