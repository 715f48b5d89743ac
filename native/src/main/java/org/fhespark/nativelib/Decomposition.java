package org.fhespark.nativelib;

/**
 * A gadget decomposition: {@code levels} digits of {@code baseLog} bits, from the top of a torus
 * element.
 */
public record Decomposition(int baseLog, int levels) {}
