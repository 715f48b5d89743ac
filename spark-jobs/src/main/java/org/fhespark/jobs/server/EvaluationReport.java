package org.fhespark.jobs.server;

/**
 * What an evaluation did.
 *
 * @param blocks evaluated
 * @param quarantinedBlocks that could not be evaluated
 * @param quarantinedFiles that could not be read; how many blocks they hold is not known
 * @param seconds wall time
 */
public record EvaluationReport(
    long blocks, long quarantinedBlocks, long quarantinedFiles, double seconds) {}
