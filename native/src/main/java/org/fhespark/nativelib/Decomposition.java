package org.fhespark.nativelib;

/**
 * A gadget decomposition of torus elements, from the top.
 *
 * @param baseLog bits of a digit
 * @param levels number of digits
 */
public record Decomposition(int baseLog, int levels) {}
