package org.fhespark.jobs.tables;

import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.CatalystTypeConverters;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;
import scala.Function1;
import scala.collection.immutable.ArraySeq;

/** Turns rows into Spark's internal rows; sequences over primitive arrays are not boxed. */
final class RowEncoder {
  private final DataType[] types;
  private final Function1<Object, Object>[] converters;

  @SuppressWarnings({"unchecked", "rawtypes"})
  RowEncoder(StructType schema) {
    types = new DataType[schema.length()];
    converters = new Function1[types.length];
    for (int i = 0; i < types.length; i++) {
      types[i] = schema.fields()[i].dataType();
      converters[i] = CatalystTypeConverters.createToCatalystConverter(types[i]);
    }
  }

  /**
   * The internal row of a row's values, by position.
   *
   * @throws IllegalArgumentException if the row has not as many values as the schema
   */
  InternalRow encode(Row row) {
    if (row.length() != types.length) {
      throw new IllegalArgumentException(
          "a row of " + row.length() + " values, the table has " + types.length + " columns");
    }
    Object[] values = new Object[types.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = encode(i, row.get(i));
    }
    return new GenericInternalRow(values);
  }

  /**
   * Only what {@link RowDecoder} and {@link OutputColumns} make is recognised; the rest is Spark's.
   */
  private Object encode(int column, Object value) {
    if (value instanceof ArraySeq.ofFloat floats) {
      return UnsafeArrayData.fromPrimitiveArray(floats.unsafeArray());
    }
    if (value instanceof ArraySeq.ofLong longs) {
      return UnsafeArrayData.fromPrimitiveArray(longs.unsafeArray());
    }
    if (value instanceof ArraySeq.ofDouble doubles) {
      return UnsafeArrayData.fromPrimitiveArray(doubles.unsafeArray());
    }
    if (value instanceof ArraySeq.ofInt ints) {
      return UnsafeArrayData.fromPrimitiveArray(ints.unsafeArray());
    }
    return converters[column].apply(value);
  }
}
