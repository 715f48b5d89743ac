package org.fhespark.sql;

import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.catalog.functions.AggregateFunction;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.BlockSum;

/**
 * {@code fhe.sum(block)}: the sum of blocks of results, slot by slot, so that a client decrypts
 * sums alone. It needs no key and no circuit; what cannot be added, or is one more than the circuit
 * was compiled for, fails the query ({@link BlockSum}).
 *
 * <p>As SQL's own sum: NULLs are left out, and the sum of nothing is NULL.
 */
final class SumFunction implements UnboundFunction {
  @Override
  public String name() {
    return FunctionNames.SUM;
  }

  @Override
  public String description() {
    return name()
        + "(block BINARY): the sum of blocks of results of one circuit and key, slot by slot; the"
        + " circuit was compiled with --sums for as many";
  }

  @Override
  public BoundFunction bind(StructType arguments) {
    BlockArgument.require(name(), arguments);
    return new Bound();
  }

  /** The state is the sum so far; empty before the first block. */
  private static final class Bound implements AggregateFunction<byte[], byte[]> {
    private static final long serialVersionUID = 1L;
    private static final byte[] NONE = {};

    @Override
    public byte[] newAggregationState() {
      return NONE;
    }

    @Override
    public byte[] update(byte[] sum, InternalRow arguments) {
      if (arguments.isNullAt(0)) {
        return sum;
      }
      byte[] block = arguments.getBinary(0);
      if (block.length == 0) {
        throw new InvalidInputException("encrypted block is truncated: 0 bytes");
      }
      return merge(sum, block);
    }

    @Override
    public byte[] merge(byte[] sum, byte[] added) {
      if (added.length == 0) {
        return sum;
      }
      if (sum.length == 0) {
        return BlockSum.of(added);
      }
      BlockSum.add(sum, added);
      return sum;
    }

    @Override
    public byte[] produceResult(byte[] sum) {
      return sum.length == 0 ? null : sum;
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
      return FunctionNames.SUM;
    }

    @Override
    public String canonicalName() {
      return "org.fhespark.sum";
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Bound;
    }

    @Override
    public int hashCode() {
      return FunctionNames.SUM.hashCode();
    }
  }
}
