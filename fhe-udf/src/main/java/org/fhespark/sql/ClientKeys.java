package org.fhespark.sql;

import java.io.Serializable;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;
import org.fhespark.udf.BlockHeader;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.EvaluateBlocks;
import org.fhespark.udf.EvaluationKeySource;
import org.fhespark.udf.PublicKeyBytes;

/**
 * What clients gave to evaluate the blocks of one circuit with, by the ids of their keys; travels
 * to the executors with the plan.
 */
record ClientKeys(
    TreeMap<String, EvaluationKeySource> evaluation,
    TreeMap<String, Broadcast<PublicKeyBytes>> publicKeys)
    implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Ids of other keys that an error names at most. */
  private static final int NAMED = 3;

  static ClientKeys none() {
    return new ClientKeys(new TreeMap<>(), new TreeMap<>());
  }

  /**
   * The work of a task on a block.
   *
   * @throws InvalidInputException if the block's client key has not given what the circuit needs
   */
  EvaluateBlocks work(RegisteredCircuit.Evaluated circuit, BlockHeader header) {
    Map<String, Broadcast<Circuit>> file = Map.of(circuit.digest(), circuit.file());
    String key = header.key();
    if (circuit.takesEvaluationKey()) {
      require(
          evaluation.keySet(),
          key,
          circuit.function() + " takes an evaluation key",
          "evaluation key");
      return new EvaluateBlocks(file, Map.of(circuit.digest(), evaluation.get(key)));
    }
    if (circuit.rerandomizes()) {
      require(
          publicKeys.keySet(),
          key,
          circuit.function() + " re-randomises results (--protect-weights)",
          "public key");
      return new EvaluateBlocks(file, Map.of(), Map.of(key, publicKeys.get(key)));
    }
    return new EvaluateBlocks(file);
  }

  private static void require(Set<String> registered, String key, String why, String kind) {
    if (!registered.contains(key)) {
      throw new InvalidInputException(
          why
              + ", and no "
              + kind
              + " of client key "
              + key
              + ", which the block is under, is registered ("
              + others(registered)
              + "): CALL fhe.register_key with the client's "
              + kind.replace(' ', '.')
              + ", then ask again");
    }
  }

  private static String others(Set<String> registered) {
    if (registered.isEmpty()) {
      return "none is";
    }
    String first = String.join(", ", new TreeSet<>(registered).stream().limit(NAMED).toList());
    int more = registered.size() - NAMED;
    return "only of " + first + (more > 0 ? " and " + more + " others" : "");
  }
}
