package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.AtomicType;
import org.apache.spark.sql.types.BinaryType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.jobs.tables.TableReader;
import scala.collection.immutable.ArraySeq;

/**
 * The columns of a table of aggregates: the groups' values, under the name of their column, how
 * many records each has, and an array of doubles for each of the model's outputs.
 *
 * @param ordinal of the groups' column in the table of records
 */
record AggregateColumns(StructField group, int ordinal, List<SummedOutput> outputs) {
  /** The column of numbers of records. */
  private static final String COUNT = "count";

  /**
   * Finds the column of groups.
   *
   * @throws InvalidInputException if there is none, its values are not plain, or it has the name of
   *     another column of the aggregates
   */
  static AggregateColumns of(TableReader table, String name, List<SummedOutput> outputs) {
    List<String> names = Arrays.asList(table.schema().fieldNames());
    int ordinal = names.indexOf(name);
    if (ordinal < 0) {
      throw new InvalidInputException(
          "table "
              + table.name()
              + " has no column '"
              + name
              + "' to group by: it has "
              + String.join(", ", names));
    }
    StructField group = table.schema().fields()[ordinal];
    String where = "table " + table.name() + ": column '" + name + "' ";
    if (!(group.dataType() instanceof AtomicType) || group.dataType() instanceof BinaryType) {
      throw new InvalidInputException(
          where
              + "is "
              + group.dataType().simpleString()
              + ", groups are told by plain values: numbers, text, dates, times or booleans");
    }
    List<String> others = new ArrayList<>(List.of(COUNT));
    outputs.forEach(summed -> others.add(summed.output().name()));
    if (others.stream().anyMatch(name::equalsIgnoreCase)) {
      throw new InvalidInputException(
          where + "has the name of a column of the aggregates; rename it");
    }
    return new AggregateColumns(group, ordinal, outputs);
  }

  /**
   * The columns of the records as the model is to see them: the one of the groups is no feature
   * among plain numeric columns, unless the model asks for it by name.
   */
  StructType features(StructType records, List<TensorSpec> inputs) {
    if (inputs.stream().anyMatch(input -> input.name().equals(group.name()))) {
      return records;
    }
    StructField[] fields = records.fields().clone();
    fields[ordinal] = DataTypes.createStructField(group.name(), DataTypes.StringType, true);
    return DataTypes.createStructType(fields);
  }

  /** Columns of the groups and their counts alone. */
  StructType groups() {
    return new StructType()
        .add(group.name(), group.dataType(), true)
        .add(COUNT, DataTypes.LongType, false);
  }

  /** All columns. */
  StructType aggregates() {
    StructType schema = groups();
    for (SummedOutput summed : outputs) {
      schema =
          schema.add(
              summed.output().name(),
              DataTypes.createArrayType(DataTypes.DoubleType, false),
              false);
    }
    return schema;
  }

  /**
   * The row of a group.
   *
   * @param sums of each output, its columns
   */
  Row row(Object value, long records, double[][] sums, Aggregate aggregate) {
    Object[] row = new Object[2 + sums.length];
    row[0] = value;
    row[1] = records;
    for (int output = 0; output < sums.length; output++) {
      double[] values =
          Arrays.stream(sums[output]).map(sum -> aggregate.of(sum, records)).toArray();
      row[2 + output] = new ArraySeq.ofDouble(values);
    }
    return RowFactory.create(row);
  }
}
