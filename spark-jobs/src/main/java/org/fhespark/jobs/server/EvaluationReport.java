package org.fhespark.jobs.server;

/**
 * What an evaluation did.
 *
 * @param blocks evaluated
 * @param seconds wall time
 */
public record EvaluationReport(long blocks, double seconds) {}
