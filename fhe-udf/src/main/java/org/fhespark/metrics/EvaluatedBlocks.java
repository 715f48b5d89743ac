package org.fhespark.metrics;

/**
 * Blocks that were evaluated.
 *
 * @param blocks how many
 * @param records in them; a record is in a block of every remote module
 * @param bytesUp of the blocks
 * @param bytesDown of their results
 * @param values records times outputs, of results
 */
public record EvaluatedBlocks(
    long blocks, long records, long bytesUp, long bytesDown, long values) {}
