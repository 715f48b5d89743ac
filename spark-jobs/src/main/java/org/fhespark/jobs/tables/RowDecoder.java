package org.fhespark.jobs.tables;

import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.CatalystTypeConverters;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import scala.Function1;
import scala.collection.immutable.ArraySeq;

/**
 * Turns Spark's internal rows into rows of their own memory.
 *
 * <p>Arrays of numbers without nulls become sequences over primitive arrays: a boxed float would
 * take five times the room, and the rows of a batch are kept until its results are written.
 */
final class RowDecoder {
  /** Reads one column of a row. */
  private interface Column {
    Object read(InternalRow row, int ordinal);
  }

  /** Copies an array without nulls. */
  private interface PrimitiveArray {
    Object copy(ArrayData array);
  }

  private final StructType schema;
  private final Column[] columns;

  RowDecoder(StructType schema) {
    this.schema = schema;
    this.columns = new Column[schema.length()];
    for (int i = 0; i < columns.length; i++) {
      StructField field = schema.fields()[i];
      columns[i] = column(field.dataType());
    }
  }

  Row decode(InternalRow row) {
    Object[] values = new Object[columns.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = row.isNullAt(i) ? null : columns[i].read(row, i);
    }
    return new GenericRowWithSchema(values, schema);
  }

  private static Column column(DataType type) {
    Function1<Object, Object> general = CatalystTypeConverters.createToScalaConverter(type);
    PrimitiveArray primitive =
        type instanceof ArrayType array ? primitiveArray(array.elementType()) : null;
    if (primitive == null) {
      return (row, i) -> general.apply(row.get(i, type));
    }
    return (row, i) -> {
      ArrayData array = row.getArray(i);
      return hasNull(array) ? general.apply(array) : primitive.copy(array);
    };
  }

  private static PrimitiveArray primitiveArray(DataType element) {
    if (element.equals(DataTypes.FloatType)) {
      return array -> new ArraySeq.ofFloat(array.toFloatArray());
    }
    if (element.equals(DataTypes.DoubleType)) {
      return array -> new ArraySeq.ofDouble(array.toDoubleArray());
    }
    if (element.equals(DataTypes.LongType)) {
      return array -> new ArraySeq.ofLong(array.toLongArray());
    }
    if (element.equals(DataTypes.IntegerType)) {
      return array -> new ArraySeq.ofInt(array.toIntArray());
    }
    return null;
  }

  private static boolean hasNull(ArrayData array) {
    int length = array.numElements();
    for (int i = 0; i < length; i++) {
      if (array.isNullAt(i)) {
        return true;
      }
    }
    return false;
  }
}
