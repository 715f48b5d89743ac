package org.fhespark.jobs.tables;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.TensorSpec;

/**
 * Which columns of a table feed which inputs of a model.
 *
 * <p>An input takes the column of its name: a number if a record of it is one element, otherwise an
 * array of numbers in row-major order or arrays nested as deep as the shape. A model with a single
 * input of shape {@code [d]} also takes exactly {@code d} plain numeric columns in the table's
 * order, if no column has the input's name; the columns that are no numbers are then left alone.
 */
public final class InputBinding {
  private final String tableName;
  private final List<TensorSpec> specs;
  private final List<Source> sources;
  private long records;

  /**
   * Where one input comes from.
   *
   * @param columns ordinals in the table: one, or one for each element
   * @param depth arrays around a number: 0 for numbers
   */
  record Source(int[] columns, int depth) {}

  private InputBinding(String tableName, List<TensorSpec> specs, List<Source> sources) {
    this.tableName = tableName;
    this.specs = List.copyOf(specs);
    this.sources = List.copyOf(sources);
  }

  /**
   * Finds and checks the column of every input.
   *
   * @param schema the table's columns
   * @param specs the model's inputs, shapes without the batch axis
   * @param tableName what error messages call the table
   * @throws InvalidInputException if a column is missing or its type cannot serve
   */
  public static InputBinding bind(StructType schema, List<TensorSpec> specs, String tableName) {
    List<Source> sources = new ArrayList<>();
    for (TensorSpec spec : specs) {
      int column = Arrays.asList(schema.fieldNames()).indexOf(spec.name());
      if (column >= 0) {
        StructField field = schema.fields()[column];
        int depth = depthOf(field, spec, tableName);
        sources.add(new Source(new int[] {column}, depth));
      } else {
        sources.add(plainColumns(schema, spec, specs.size(), tableName));
      }
    }
    return new InputBinding(tableName, specs, sources);
  }

  /**
   * An empty batch for up to {@code capacity} records; fewer if a tensor of that many would pass 2
   * GiB. Batches of one binding number their records in the order of adding, from 1.
   */
  public RecordBatch newBatch(int capacity) {
    return new RecordBatch(this, capacity);
  }

  /**
   * Measures the next record of a model whose inputs are sequences of one length, the first axis of
   * each input that leaves it open.
   *
   * @throws InvalidInputException if a length does not do, or inputs differ in theirs
   */
  public SequenceRecord measure(Row row) {
    long[][] shapes = new long[specs.size()][];
    int first = -1;
    for (int input = 0; input < shapes.length; input++) {
      shapes[input] = values(input, row, nextRecord()).shape();
      if (isSequence(input) && first < 0) {
        first = input;
      }
      if (isSequence(input) && shapes[input][0] != shapes[first][0]) {
        throw new InvalidInputException(
            "table "
                + tableName
                + ": column '"
                + specs.get(input).name()
                + "', record "
                + nextRecord()
                + ": expected "
                + shapes[first][0]
                + " values along axis 0, as in column '"
                + specs.get(first).name()
                + "', found "
                + shapes[input][0]
                + "; give all columns of a sequence one length");
      }
    }
    int length = first < 0 ? 1 : Math.toIntExact(shapes[first][0]);
    SequenceRecord record = new SequenceRecord(row, nextRecord(), length, shapes);
    recordAdded();
    return record;
  }

  /**
   * A batch of these records, shorter sequences padded with zeros to the longest.
   *
   * @throws InvalidInputException if a value will not do, or records differ along another axis
   */
  public RecordBatch pad(List<SequenceRecord> records) {
    return RecordBatch.padded(this, records);
  }

  /** Whether the first axis of an input's records is as long as the sequence. */
  boolean isSequence(int input) {
    List<Long> shape = specs.get(input).shape();
    return !shape.isEmpty() && shape.get(0) < 0;
  }

  RecordValues values(int input, Row row, long record) {
    return new RecordValues(row, sources.get(input), specs.get(input), tableName, record);
  }

  /** The model's inputs. */
  public List<TensorSpec> specs() {
    return specs;
  }

  Source source(int input) {
    return sources.get(input);
  }

  String tableName() {
    return tableName;
  }

  /** Number of the record that is being added. */
  long nextRecord() {
    return records + 1;
  }

  void recordAdded() {
    records++;
  }

  /** Counts records of the table that come in no batch, between those before and those after. */
  public void skip(long skipped) {
    records += skipped;
  }

  private static int depthOf(StructField field, TensorSpec spec, String tableName) {
    String where = "table " + tableName + ": column '" + field.name() + "' ";
    int depth = 0;
    DataType type = field.dataType();
    while (type instanceof ArrayType array) {
      type = array.elementType();
      depth++;
    }
    if (!(type instanceof NumericType)) {
      throw new InvalidInputException(
          where + "is " + shown(field) + ", the model's input needs " + wanted(spec));
    }
    int rank = spec.shape().size();
    boolean fits = depth == rank || depth == 1;
    if (depth == 0) {
      fits = spec.elementsPerRecord() == 1;
    }
    if (!fits) {
      throw new InvalidInputException(
          where + "is " + shown(field) + ", the model's input needs " + wanted(spec));
    }
    long open = spec.shape().stream().filter(axis -> axis < 0).count();
    if (open > 1 && depth < rank) {
      throw new InvalidInputException(
          where
              + "is "
              + shown(field)
              + ", but shape "
              + spec.shape()
              + " leaves "
              + open
              + " axes open and one length does not tell them; nest the arrays "
              + rank
              + " deep");
    }
    return depth;
  }

  private static Source plainColumns(
      StructType schema, TensorSpec spec, int inputs, String tableName) {
    List<String> names = Arrays.asList(schema.fieldNames());
    int[] numeric =
        IntStream.range(0, schema.length())
            .filter(i -> schema.fields()[i].dataType() instanceof NumericType)
            .toArray();
    String missing =
        "table " + tableName + " has no column '" + spec.name() + "' for the model's input: ";
    boolean vector = inputs == 1 && spec.shape().size() == 1 && spec.shape().get(0) > 0;
    // An array under almost the right name was meant, whatever numbers stand beside it.
    boolean renamed =
        IntStream.range(0, schema.length())
            .anyMatch(
                i ->
                    names.get(i).equalsIgnoreCase(spec.name())
                        && schema.fields()[i].dataType() instanceof ArrayType);
    if (!vector || numeric.length == 0 || renamed) {
      throw new InvalidInputException(
          missing
              + NearNames.hint(spec.name(), names)
              + "; give a column of that name with "
              + wanted(spec));
    }
    long needed = spec.shape().get(0);
    if (numeric.length != needed) {
      List<String> numericNames = Arrays.stream(numeric).mapToObj(names::get).toList();
      throw new InvalidInputException(
          missing
              + "instead of it "
              + needed
              + " plain numeric columns would serve, but the table has "
              + numeric.length
              + " ("
              + NearNames.quoted(numericNames)
              + ") and "
              + (schema.length() - numeric.length)
              + " others; drop or cast the columns that are no features, or give one array column '"
              + spec.name()
              + "'");
    }
    return new Source(numeric, 0);
  }

  private static String shown(StructField field) {
    return field.dataType().simpleString();
  }

  private static String wanted(TensorSpec spec) {
    int rank = spec.shape().size();
    if (spec.elementsPerRecord() == 1) {
      return "a number or an array of one (shape " + spec.shape() + ")";
    }
    long elements = spec.elementsPerRecord();
    String flat = "an array of " + (elements < 0 ? "" : elements + " ") + "numbers";
    return flat
        + (rank > 1 ? " in row-major order or nested " + rank + " deep" : "")
        + " (shape "
        + spec.shape()
        + ")";
  }
}
