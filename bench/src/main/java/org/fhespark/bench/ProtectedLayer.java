package org.fhespark.bench;

import org.fhespark.nativelib.PackedParameters;

/**
 * The same layer with results that are re-randomised, timed in turns with the other.
 *
 * @param parameters that it needs
 * @param evaluateSeconds the server's part, a median of processor time
 * @param bytesDown of its result
 */
record ProtectedLayer(PackedParameters parameters, double evaluateSeconds, long bytesDown) {}
