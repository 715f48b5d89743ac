package org.fhespark.nativelib;

/** A gadget decomposition: {@code levels} digits of {@code baseLog} bits, from the top. */
public record Decomposition(int baseLog, int levels) {}
