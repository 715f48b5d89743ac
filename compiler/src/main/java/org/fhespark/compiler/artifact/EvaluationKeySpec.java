package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.EvaluationParameters;
import org.fhespark.nativelib.LeveledParameters;
import org.fhespark.nativelib.SecretKeyShape;

/**
 * An evaluation key that circuits need: with look-ups, or leveled.
 *
 * @param parameters of look-ups, which may differ in {@code outputBytes} from a circuit's, as that
 *     does not concern the key; null if leveled
 * @param secretKeyShape of the packed layer's secret key, which values of circuits with look-ups
 *     are under; null if leveled
 * @param leveled ring and most levels of leveled circuits; null with look-ups
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record EvaluationKeySpec(
    BootstrapParameters parameters, SecretKeyShape secretKeyShape, LeveledParameters leveled) {
  public EvaluationKeySpec {
    boolean hasLookups = parameters != null && secretKeyShape != null;
    if (hasLookups == (leveled != null)) {
      throw new IllegalArgumentException("an evaluation key is for look-ups or for a ring");
    }
  }

  /** Of circuits with look-ups. */
  public static EvaluationKeySpec ofLookups(
      BootstrapParameters parameters, SecretKeyShape secretKeyShape) {
    return new EvaluationKeySpec(parameters, secretKeyShape, null);
  }

  /** Of leveled circuits. */
  public static EvaluationKeySpec ofLeveled(LeveledParameters leveled) {
    return new EvaluationKeySpec(null, null, leveled);
  }

  /** Those of the key. */
  public EvaluationParameters keyParameters() {
    return leveled != null ? leveled : parameters;
  }
}
