package org.fhespark.nativelib;

import java.util.Objects;

/**
 * What a client knows of a leveled circuit: how records are normalised, and what outputs are worth.
 *
 * <p>A record x becomes {@code (x − center) / spread}, feature by feature. One whose norm is above
 * the radius is drawn to the ball's surface: no record may leave the range that the circuit's
 * polynomials are made for, for it would take all records of its block with it.
 *
 * @param circuit SHA-256 of its file
 * @param parameters of blocks
 * @param inputScale what a normalised feature of 1 is in a fresh ciphertext
 * @param outputScale what an output of 1 is in a result
 * @param center of records, {@code [d_in]}
 * @param spread of each feature, positive, {@code [d_in]}
 * @param radius of the ball of normalised records
 * @param outputRanges what an output of 1 is worth, {@code [d_out]}
 */
public record LeveledClientSpec(
    CircuitDigest circuit,
    LeveledParameters parameters,
    double inputScale,
    double outputScale,
    float[] center,
    float[] spread,
    double radius,
    double[] outputRanges) {
  public LeveledClientSpec {
    for (Object field : new Object[] {circuit, parameters, center, spread, outputRanges}) {
      Objects.requireNonNull(field);
    }
  }
}
