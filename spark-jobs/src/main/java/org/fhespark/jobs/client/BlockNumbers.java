package org.fhespark.jobs.client;

import java.security.SecureRandom;

/** The numbers by which a client tells its blocks apart. */
final class BlockNumbers {
  private static final SecureRandom RANDOM = new SecureRandom();

  private BlockNumbers() {}

  /**
   * The first of a round's, which the others follow; drawn anew each time, so that no block is
   * taken for one of another table or attempt.
   */
  static long first() {
    return RANDOM.nextLong() >>> 2;
  }
}
