package org.fhespark.compiler.artifact;

import java.util.Objects;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.SecretKeyShape;

/**
 * An evaluation key that circuits with look-ups need. Their parameters may differ in {@code
 * outputBytes}, which does not concern the key.
 *
 * @param parameters of look-ups
 * @param secretKeyShape of the packed layer's secret key, which values of the circuit are under
 */
public record EvaluationKeySpec(BootstrapParameters parameters, SecretKeyShape secretKeyShape) {
  public EvaluationKeySpec {
    Objects.requireNonNull(parameters);
    Objects.requireNonNull(secretKeyShape);
  }
}
