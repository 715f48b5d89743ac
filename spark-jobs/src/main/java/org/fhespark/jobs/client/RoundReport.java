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
 * @param clampedRows rows of leveled remote modules that the session drew into the range which
 *     their circuit is made for, this step's and those before: their results are wrong
 * @param seconds wall time
 */
public record RoundReport(
    long records,
    int round,
    int rounds,
    long blocks,
    long bytes,
    long lost,
    long clampedRows,
    double seconds) {
  /** Whether the records are scored. */
  public boolean isScored() {
    return round > rounds;
  }
}
