package org.fhespark.sql;

import java.nio.ByteBuffer;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.fhespark.udf.BlockHeader;

/** {@code fhe.describe(block)}: what a block says of itself, as a struct. */
final class DescribeFunction implements UnboundFunction {
  private static final StructType FIELDS =
      new StructType()
          .add("kind", DataTypes.StringType)
          .add("version", DataTypes.IntegerType)
          .add("circuit", DataTypes.StringType)
          .add("key", DataTypes.StringType)
          .add("number", DataTypes.LongType)
          .add("records", DataTypes.IntegerType)
          .add("features", DataTypes.IntegerType)
          .add("summands", DataTypes.IntegerType)
          .add("max_summands", DataTypes.IntegerType)
          .add("bytes", DataTypes.LongType);

  @Override
  public String name() {
    return FunctionNames.DESCRIBE;
  }

  @Override
  public String description() {
    return name() + "(block BINARY): what the header of an encrypted block says, " + FIELDS.sql();
  }

  @Override
  public BoundFunction bind(StructType arguments) {
    BlockArgument.require(name(), arguments);
    return new Bound();
  }

  private static final class Bound implements ScalarFunction<InternalRow> {
    private static final long serialVersionUID = 1L;

    @Override
    public InternalRow produceResult(InternalRow arguments) {
      if (arguments.isNullAt(0)) {
        return null;
      }
      byte[] block = arguments.getBinary(0);
      BlockHeader header = BlockHeader.of(ByteBuffer.wrap(block));
      return new GenericInternalRow(
          new Object[] {
            UTF8String.fromString(header.kind()),
            header.version(),
            UTF8String.fromString(header.circuit()),
            UTF8String.fromString(header.key()),
            header.number(),
            header.records(),
            header.features(),
            header.summands(),
            header.maxSummands(),
            (long) block.length
          });
    }

    @Override
    public DataType[] inputTypes() {
      return BlockArgument.types();
    }

    @Override
    public DataType resultType() {
      return FIELDS;
    }

    @Override
    public String name() {
      return FunctionNames.DESCRIBE;
    }

    @Override
    public String canonicalName() {
      return "org.fhespark.describe";
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Bound;
    }

    @Override
    public int hashCode() {
      return FunctionNames.DESCRIBE.hashCode();
    }
  }
}
