package org.fhespark.jobs.tables;

import java.nio.Buffer;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.TensorSpec;
import scala.collection.immutable.ArraySeq;

/**
 * The columns of a result: those of the input, then one array column per model output, named as the
 * output and row-major: {@code array<float>}, {@code array<double>}, {@code array<int>} or {@code
 * array<bigint>} after the output's element type.
 */
public final class OutputColumns {
  private final List<TensorSpec> outputs;
  private final int inputColumns;
  private final StructType schema;

  /**
   * Lays out the result.
   *
   * @param tableName what error messages call the input table
   * @throws InvalidInputException if an output has the name of an input column; case does not tell
   *     them apart, as it would not for Spark
   */
  public OutputColumns(StructType inputSchema, List<TensorSpec> outputs, String tableName) {
    this.outputs = List.copyOf(outputs);
    this.inputColumns = inputSchema.length();
    List<StructField> fields = new ArrayList<>(Arrays.asList(inputSchema.fields()));
    for (TensorSpec output : this.outputs) {
      for (String column : inputSchema.fieldNames()) {
        if (column.equalsIgnoreCase(output.name())) {
          throw new InvalidInputException(
              "table "
                  + tableName
                  + ": column '"
                  + column
                  + "' has the name of the model's output '"
                  + output.name()
                  + "', which is to be added; rename or drop the column");
        }
      }
      fields.add(
          DataTypes.createStructField(
              output.name(), DataTypes.createArrayType(elementType(output), false), true));
    }
    Set<String> names = new HashSet<>();
    for (TensorSpec output : this.outputs) {
      if (!names.add(output.name())) {
        throw new IllegalArgumentException("output '" + output.name() + "' is given twice");
      }
    }
    this.schema = DataTypes.createStructType(fields);
  }

  /** Columns of the result. */
  public StructType schema() {
    return schema;
  }

  /**
   * The result of one record.
   *
   * @param input the record, as it came
   * @param results for each output a buffer of its element type that holds the batch row-major,
   *     {@code [records, shape...]}, from position 0 to its limit; only read
   * @param record which record of the batch
   * @param records number of records in the batch
   * @throws IllegalArgumentException if a buffer is of another type or cannot be cut by records
   */
  public Row row(Row input, List<? extends Buffer> results, int record, int records) {
    int[] whole =
        results.stream().mapToInt(buffer -> buffer.limit() / Math.max(1, records)).toArray();
    return row(input, results, record, records, whole);
  }

  /**
   * The same for a record that was padded.
   *
   * @param kept for each output how many of the record's values, from its first, are its own
   * @throws IllegalArgumentException if columns or results are not as many as were laid out
   */
  public Row row(Row input, List<? extends Buffer> results, int record, int records, int[] kept) {
    if (input.length() != inputColumns || results.size() != outputs.size()) {
      throw new IllegalArgumentException(
          "a record of "
              + input.length()
              + " columns and "
              + results.size()
              + " outputs, expected "
              + inputColumns
              + " and "
              + outputs.size());
    }
    if (record < 0 || record >= records) {
      throw new IllegalArgumentException("record " + record + " of " + records);
    }
    Object[] values = new Object[schema.length()];
    for (int i = 0; i < inputColumns; i++) {
      values[i] = input.get(i);
    }
    for (int i = 0; i < outputs.size(); i++) {
      values[inputColumns + i] = slice(outputs.get(i), results.get(i), record, records, kept[i]);
    }
    return new GenericRowWithSchema(values, schema);
  }

  /** The row of a record that has no results: they are null. */
  public Row rowWithoutResults(Row input) {
    Object[] values = new Object[schema.length()];
    for (int i = 0; i < inputColumns; i++) {
      values[i] = input.get(i);
    }
    return new GenericRowWithSchema(values, schema);
  }

  private static Object slice(TensorSpec output, Buffer buffer, int record, int records, int kept) {
    long perRecord = output.elementsPerRecord();
    int elements = buffer.limit() / records;
    if (buffer.limit() % records != 0
        || (perRecord >= 0 && perRecord != elements)
        || kept > elements) {
      throw new IllegalArgumentException(
          "output '"
              + output.name()
              + "' of shape "
              + output.shape()
              + " has "
              + buffer.limit()
              + " values for "
              + records
              + " records");
    }
    int from = record * elements;
    switch (output.type()) {
      case FLOAT -> {
        if (buffer instanceof FloatBuffer floats) {
          float[] values = new float[kept];
          floats.get(from, values);
          return new ArraySeq.ofFloat(values);
        }
      }
      case DOUBLE -> {
        if (buffer instanceof DoubleBuffer doubles) {
          double[] values = new double[kept];
          doubles.get(from, values);
          return new ArraySeq.ofDouble(values);
        }
      }
      case INT32 -> {
        if (buffer instanceof IntBuffer ints) {
          int[] values = new int[kept];
          ints.get(from, values);
          return new ArraySeq.ofInt(values);
        }
      }
      case INT64 -> {
        if (buffer instanceof LongBuffer longs) {
          long[] values = new long[kept];
          longs.get(from, values);
          return new ArraySeq.ofLong(values);
        }
      }
    }
    throw new IllegalArgumentException(
        "output '"
            + output.name()
            + "' is of type "
            + output.type()
            + ", not in a "
            + buffer.getClass().getSimpleName());
  }

  private static DataType elementType(TensorSpec output) {
    return switch (output.type()) {
      case FLOAT -> DataTypes.FloatType;
      case DOUBLE -> DataTypes.DoubleType;
      case INT32 -> DataTypes.IntegerType;
      case INT64 -> DataTypes.LongType;
    };
  }
}
