package org.fhespark.jobs.client;

/**
 * What a step of scoring round by round did.
 *
 * @param records of the table
 * @param round whose blocks it wrote, from 1; {@code rounds + 1} if it wrote the scored table
 *     instead
 * @param rounds of the model
 * @param blocks that it wrote
 * @param bytes of these
 * @param lost records so far without results, whose outputs are null ({@link LostResults#NULL})
 * @param seconds wall time
 */
public record RoundReport(
    long records, int round, int rounds, long blocks, long bytes, long lost, double seconds) {
  /** Whether the records are scored. */
  public boolean isScored() {
    return round > rounds;
  }
}
