package org.fhespark.nativelib;

import java.util.List;

/**
 * Predicted standard deviations of the noise through a circuit with look-ups, relative to the
 * torus. What a look-up reads wrongly it passes on through its table; that is not counted further
 * on, {@link LookupCircuit#simulate} shows it.
 *
 * @param packed the largest of the packed layer's outputs
 * @param steps the largest of each step's values; for a look-up of what it reads
 * @param outputs the largest of the outputs, as they reach the client
 */
public record LookupNoise(double packed, List<Double> steps, double outputs) {}
