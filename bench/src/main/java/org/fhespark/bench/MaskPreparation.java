package org.fhespark.bench;

/**
 * What it takes to prepare a mask ahead of its records, on one thread.
 *
 * @param records it can take
 * @param evaluateSeconds the server's part: the mask times the weights
 * @param prepareSeconds the client's part
 * @param memoryBytes that the client holds until it is used up
 */
record MaskPreparation(
    int records, double evaluateSeconds, double prepareSeconds, long memoryBytes) {}
