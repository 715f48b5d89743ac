package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import java.util.Objects;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.LeveledClientSpec;
import org.fhespark.nativelib.LeveledParameters;

/**
 * What a client knows of a leveled circuit, in place of quantisation and norms: statistics of
 * inputs, what the circuit's outputs are worth, and the ring.
 *
 * @param parameters ring and levels
 * @param inputScale what a normalised feature of 1 is in a fresh ciphertext
 * @param outputScale what an output of 1 is in a result
 * @param center of rows, {@code [dIn]}
 * @param spread of each feature, {@code [dIn]}
 * @param radius of the ball that normalised rows must lie in
 * @param outputRanges what an output of 1 is worth, {@code [dOut]}
 * @param recordShape the input's axes without the batch axis, if a row is a whole record; null if a
 *     row is the last axis
 * @param outputShape the output's axes without the batch axis, if a row is a whole record, else
 *     null
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record LeveledSpec(
    LeveledParameters parameters,
    double inputScale,
    double outputScale,
    float[] center,
    float[] spread,
    double radius,
    double[] outputRanges,
    List<Long> recordShape,
    List<Long> outputShape) {
  public LeveledSpec {
    for (Object field : new Object[] {parameters, center, spread, outputRanges}) {
      Objects.requireNonNull(field);
    }
    if ((recordShape == null) != (outputShape == null)) {
      throw new IllegalArgumentException("recordShape and outputShape come together");
    }
    recordShape = recordShape == null ? null : List.copyOf(recordShape);
    outputShape = outputShape == null ? null : List.copyOf(outputShape);
  }

  /** What the native client of a circuit needs. */
  public LeveledClientSpec clientSpec(String circuitDigest) {
    return new LeveledClientSpec(
        CircuitDigest.parse(circuitDigest),
        parameters,
        inputScale,
        outputScale,
        center,
        spread,
        radius,
        outputRanges);
  }
}
