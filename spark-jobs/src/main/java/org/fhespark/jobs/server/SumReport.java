package org.fhespark.jobs.server;

/**
 * What a job that adds results by groups did.
 *
 * @param blocks that were evaluated
 * @param sums that were written
 * @param incomplete groups whose blocks are not all there, which were left
 * @param seconds wall time
 */
public record SumReport(long blocks, long sums, long incomplete, double seconds) {}
