package org.fhespark.nativelib;

/** Parameters of a circuit that takes an evaluation key, and of such a key. */
public sealed interface EvaluationParameters permits BootstrapParameters, LeveledParameters {
  /** Whether a key of these parameters serves a circuit of the others. */
  boolean serves(EvaluationParameters circuit);

  /** Bytes of an evaluation key's file. */
  long evaluationKeyBytes();

  /** As the native methods take them; how many there are tells which they are. */
  int[] fields();

  /** Of the fields. */
  static EvaluationParameters of(int[] fields) {
    return fields.length == LeveledParameters.FIELDS
        ? LeveledParameters.of(fields)
        : BootstrapParameters.of(fields);
  }
}
