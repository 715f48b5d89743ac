package org.fhespark.sql;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.udf.BlockHeader;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.EncryptedBlock;
import org.fhespark.udf.EvaluateBlocks;
import org.fhespark.udf.EvaluationKeySource;

/**
 * A circuit as a function of SQL: {@code fhe.digits_seq_0(block)} is the block of results.
 *
 * <p>What a query bound stays as it was: its circuit, in a broadcast, and the evaluation keys that
 * were registered then.
 */
final class CircuitFunction implements UnboundFunction {
  private final RegisteredCircuit circuit;
  private final Map<String, EvaluationKeySource> keys;

  /**
   * @param keys by the id of the client key; none for a circuit without look-ups
   */
  CircuitFunction(RegisteredCircuit circuit, Map<String, EvaluationKeySource> keys) {
    this.circuit = circuit;
    this.keys = keys;
  }

  @Override
  public String name() {
    return circuit.function();
  }

  @Override
  public String description() {
    return name()
        + "(block BINARY): evaluates module "
        + circuit.module()
        + " of model "
        + circuit.model()
        + " on an encrypted block, "
        + circuit.inputs()
        + " features to "
        + circuit.outputs();
  }

  @Override
  public BoundFunction bind(StructType arguments) {
    BlockArgument.require(name(), arguments);
    return new Bound(
        circuit.function(),
        circuit.digest(),
        circuit.lookups().isPresent(),
        circuit.file(),
        new TreeMap<>(keys));
  }

  /** Travels to the executors with the plan. */
  private static final class Bound implements ScalarFunction<byte[]> {
    private static final long serialVersionUID = 1L;

    private final String function;
    private final String digest;
    private final boolean needsKey;
    private final Broadcast<Circuit> file;
    private final TreeMap<String, EvaluationKeySource> keys;

    Bound(
        String function,
        String digest,
        boolean needsKey,
        Broadcast<Circuit> file,
        TreeMap<String, EvaluationKeySource> keys) {
      this.function = function;
      this.digest = digest;
      this.needsKey = needsKey;
      this.file = file;
      this.keys = keys;
    }

    @Override
    public byte[] produceResult(InternalRow arguments) {
      if (arguments.isNullAt(0)) {
        return null;
      }
      try (EncryptedBlock block = EncryptedBlock.copyOf(arguments.getBinary(0));
          EncryptedBlock result = evaluate(block, BlockHeader.of(block.bytes()))) {
        return result.toByteArray();
      }
    }

    private EncryptedBlock evaluate(EncryptedBlock block, BlockHeader header) {
      if (!header.circuit().equals(digest)) {
        throw new InvalidInputException(
            "an encrypted block is for circuit "
                + header.circuit()
                + ", and "
                + function
                + " is circuit "
                + digest
                + ": call the function of the block's own circuit (CALL fhe.list())");
      }
      EvaluateBlocks evaluation =
          needsKey
              ? new EvaluateBlocks(Map.of(digest, file), Map.of(digest, keyOf(header)))
              : new EvaluateBlocks(Map.of(digest, file));
      return evaluation.call(List.of(block).iterator()).next();
    }

    private EvaluationKeySource keyOf(BlockHeader header) {
      EvaluationKeySource key = keys.get(header.key());
      if (key == null) {
        throw new InvalidInputException(
            function
                + " looks values up, and no evaluation key of client key "
                + header.key()
                + " is registered for its parameters: CALL fhe.register_key, then ask again");
      }
      return key;
    }

    @Override
    public DataType[] inputTypes() {
      return BlockArgument.types();
    }

    @Override
    public DataType resultType() {
      return DataTypes.BinaryType;
    }

    @Override
    public String name() {
      return function;
    }

    @Override
    public String canonicalName() {
      return "org.fhespark." + function + "." + digest;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Bound bound
          && function.equals(bound.function)
          && digest.equals(bound.digest)
          && file.id() == bound.file.id()
          && keys.equals(bound.keys);
    }

    @Override
    public int hashCode() {
      return digest.hashCode();
    }
  }
}
