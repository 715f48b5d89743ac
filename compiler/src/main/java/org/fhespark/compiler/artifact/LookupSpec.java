package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import java.util.Objects;
import org.fhespark.nativelib.BootstrapParameters;

/**
 * What a client knows of a circuit with look-ups beside the fields that all circuits have. Output j
 * is {@code phase_j / 2^64 · outputScales[j] + bias[j]}, the bias being that of {@link
 * RemoteCallSpec}.
 *
 * @param parameters of look-ups and of the evaluation key
 * @param packedOutputs outputs of the packed layer, which the client encrypts for
 * @param lookups look-ups of a row
 * @param outputScales what a whole turn of the torus is worth, {@code [dOut]}
 * @param recordShape the input's axes without the batch axis, if a row is a whole record; null if a
 *     row is the last axis
 * @param outputShape the output's axes without the batch axis, if a row is a whole record, else
 *     null
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record LookupSpec(
    BootstrapParameters parameters,
    int packedOutputs,
    int lookups,
    double[] outputScales,
    List<Long> recordShape,
    List<Long> outputShape) {
  public LookupSpec {
    Objects.requireNonNull(parameters);
    Objects.requireNonNull(outputScales);
    if ((recordShape == null) != (outputShape == null)) {
      throw new IllegalArgumentException("recordShape and outputShape come together");
    }
    recordShape = recordShape == null ? null : List.copyOf(recordShape);
    outputShape = outputShape == null ? null : List.copyOf(outputShape);
  }

  /** Whether a row is a whole record. */
  public boolean readsRecords() {
    return recordShape != null;
  }
}
