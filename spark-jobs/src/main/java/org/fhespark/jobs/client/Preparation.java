package org.fhespark.jobs.client;

/**
 * What {@link HybridSession#prepare} did.
 *
 * @param masks masks made, of all remote modules
 * @param slots rows that they are for, summed over the modules
 * @param heldBytes bytes of native memory that all masks of the session hold now
 * @param report what it cost
 */
public record Preparation(int masks, long slots, long heldBytes, ScoreReport report) {}
