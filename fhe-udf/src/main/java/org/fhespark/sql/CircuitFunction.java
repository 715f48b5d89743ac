package org.fhespark.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.udf.BlockHeader;
import org.fhespark.udf.EncryptedBlock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A circuit as a function of SQL: {@code fhe.digits_seq_0(block)} is the block of results.
 *
 * <p>What a query bound stays as it was: its circuit, in a broadcast, and the keys of clients that
 * were registered then.
 */
final class CircuitFunction implements UnboundFunction {
  private final RegisteredCircuit circuit;
  private final ClientKeys keys;

  CircuitFunction(RegisteredCircuit circuit, ClientKeys keys) {
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
    return new Bound(circuit.evaluated(), keys);
  }

  /** Travels to the executors with the plan. */
  private record Bound(RegisteredCircuit.Evaluated circuit, ClientKeys keys)
      implements ScalarFunction<byte[]> {
    private static final long serialVersionUID = 1L;

    private static final Logger LOG = LoggerFactory.getLogger(CircuitFunction.class);

    @Override
    public byte[] produceResult(InternalRow arguments) {
      if (arguments.isNullAt(0)) {
        return null;
      }
      try (EncryptedBlock block = EncryptedBlock.copyOf(arguments.getBinary(0))) {
        BlockHeader header = BlockHeader.of(block.bytes());
        try (EncryptedBlock result = evaluate(block, header)) {
          LOG.debug(
              "{}: evaluated block {} of {} records under key {}",
              circuit.function(),
              header.number(),
              header.records(),
              header.key());
          return result.toByteArray();
        }
      }
    }

    private EncryptedBlock evaluate(EncryptedBlock block, BlockHeader header) {
      if (!header.circuit().equals(circuit.digest())) {
        throw new InvalidInputException(
            "an encrypted block is for circuit "
                + header.circuit()
                + ", and "
                + circuit.function()
                + " is circuit "
                + circuit.digest()
                + ": call the function of the block's own circuit (CALL fhe.list())");
      }
      return keys.work(circuit, header).call(List.of(block).iterator()).next();
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
      return circuit.function();
    }

    @Override
    public String canonicalName() {
      return "org.fhespark." + circuit.function() + "." + circuit.digest();
    }
  }
}
