package org.fhespark.jobs.client;

/**
 * What a step of aggregating outputs by groups did.
 *
 * @param records of the table
 * @param groups of these
 * @param blocks that it wrote; none if it wrote the aggregates
 * @param blockRows records that a block has room for, the most of all remote modules
 * @param bytes of the blocks
 * @param seconds wall time
 */
public record GroupReport(
    long records, int groups, long blocks, int blockRows, long bytes, double seconds) {}
