package org.fhespark.sql;

import java.io.Serializable;
import java.util.Optional;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.nativelib.EvaluationParameters;
import org.fhespark.udf.Circuit;

/**
 * A circuit that SQL can evaluate.
 *
 * @param function its name in the catalog
 * @param model name it was registered under
 * @param module key of its module, or of several, in the model
 * @param digest SHA-256 of its file, in hexadecimal
 * @param inputs features of a block of activations
 * @param outputs features of a block of results
 * @param keyed parameters that the evaluation key it takes must serve, if it takes one
 * @param rerandomizes whether it re-randomises results, which takes the client's public key
 * @param file in a broadcast, which models may share
 */
public record RegisteredCircuit(
    String function,
    String model,
    String module,
    String digest,
    int inputs,
    int outputs,
    Optional<EvaluationParameters> keyed,
    boolean rerandomizes,
    Broadcast<Circuit> file) {
  /** What executors are told of it. */
  record Evaluated(
      String function,
      String digest,
      boolean takesEvaluationKey,
      boolean rerandomizes,
      Broadcast<Circuit> file)
      implements Serializable {
    private static final long serialVersionUID = 1L;
  }

  Evaluated evaluated() {
    return new Evaluated(function, digest, keyed.isPresent(), rerandomizes, file);
  }
}
