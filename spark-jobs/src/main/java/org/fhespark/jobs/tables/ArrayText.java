package org.fhespark.jobs.tables;

import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import scala.collection.Iterator;
import scala.collection.Seq;

/** Arrays of numbers as JSON text, for CSV, which has no arrays: {@code [0.5,1.25]}. */
final class ArrayText {
  private final boolean[] arrays;

  ArrayText(StructType schema) {
    arrays = new boolean[schema.length()];
    for (int i = 0; i < arrays.length; i++) {
      arrays[i] = isNumbers(schema.fields()[i].dataType());
    }
  }

  /** The schema with a string in the place of each array of numbers, however deep. */
  static StructType schema(StructType schema) {
    StructField[] fields = schema.fields().clone();
    for (int i = 0; i < fields.length; i++) {
      if (isNumbers(fields[i].dataType())) {
        fields[i] = DataTypes.createStructField(fields[i].name(), DataTypes.StringType, true);
      }
    }
    return DataTypes.createStructType(fields);
  }

  Row row(Row row) {
    Object[] values = new Object[row.length()];
    for (int i = 0; i < values.length; i++) {
      Object value = row.get(i);
      if (value != null && i < arrays.length && arrays[i]) {
        StringBuilder text = new StringBuilder();
        append(value, text);
        value = text.toString();
      }
      values[i] = value;
    }
    return RowFactory.create(values);
  }

  private static boolean isNumbers(DataType type) {
    return type instanceof ArrayType array
        && (array.elementType() instanceof NumericType || isNumbers(array.elementType()));
  }

  private static void append(Object value, StringBuilder text) {
    if (value instanceof Seq<?> seq) {
      text.append('[');
      Iterator<?> elements = seq.iterator();
      while (elements.hasNext()) {
        append(elements.next(), text);
        if (elements.hasNext()) {
          text.append(',');
        }
      }
      text.append(']');
    } else {
      text.append(value);
    }
  }
}
