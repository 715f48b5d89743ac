package org.fhespark.jobs.tables;

import com.univocity.parsers.csv.CsvParser;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.csv.CSVInferSchema;
import org.apache.spark.sql.catalyst.csv.CSVOptions;
import org.apache.spark.sql.catalyst.csv.UnivocityParser;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.execution.datasources.CodecStreams;
import org.apache.spark.sql.execution.datasources.csv.CSVUtils;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import scala.Function1;
import scala.collection.Iterator;

/**
 * CSV files with a header line, through Spark's parser and in its dialect: a quote inside quotes is
 * escaped by a backslash.
 *
 * <p>The types come from a first pass over every record, as in Spark, so that no later value can
 * contradict them. What is not a number stays the text it is: a date must come out as it came in.
 */
final class CsvSource implements TableSource {
  private static final Map<String, String> OPTIONS =
      Map.of("header", "true", "mode", "FAILFAST", "multiLine", "true", "maxColumns", "1000000");

  private final List<FileStatus> files;
  private final Configuration conf;
  private final CSVOptions options;
  private final StructType schema;
  private final long rowCount;

  CsvSource(TableFiles table, SQLConf sqlConf, Configuration conf) {
    this.files = table.files();
    this.conf = conf;
    this.options = options(sqlConf);
    CSVInferSchema inference = new CSVInferSchema(options);
    String[] header = null;
    DataType[] types = null;
    FileStatus headed = null;
    long rows = 0;
    for (FileStatus file : files) {
      long record = 0;
      try (Tokens tokens = new Tokens(file)) {
        String[] found = tokens.next();
        if (found == null) {
          continue;
        }
        if (header == null) {
          header = found;
          headed = file;
          types = new DataType[header.length];
          Arrays.fill(types, DataTypes.NullType);
        } else if (!Arrays.equals(header, found)) {
          throw new InvalidInputException(
              "file "
                  + file.getPath()
                  + " does not have the header line of "
                  + headed.getPath().getName()
                  + "; give all files of a table the same columns in the same order");
        }
        for (String[] row = tokens.next(); row != null; row = tokens.next()) {
          record++;
          if (row.length != header.length) {
            throw new InvalidInputException(
                "file "
                    + file.getPath()
                    + ", record "
                    + record
                    + ": expected "
                    + header.length
                    + " fields as in the header line, found "
                    + row.length
                    + "; correct that line (a quote inside quotes is written \\\")");
          }
          types = inference.inferRowType(types, row);
        }
      } catch (InvalidInputException e) {
        throw e;
      } catch (Exception e) {
        throw new InvalidInputException(
            "file "
                + file.getPath()
                + " is not readable CSV after record "
                + record
                + ": "
                + CauseLine.of(e)
                + "; write it again",
            e);
      }
      rows += record;
    }
    if (header == null) {
      throw new InvalidInputException(
          "table " + table.path() + " is empty: its files have no header line and no record");
    }
    this.schema = schema(header, types, headed);
    this.rowCount = rows;
  }

  static CSVOptions options(SQLConf sqlConf) {
    return new CSVOptions(ScalaMaps.of(OPTIONS), false, sqlConf.sessionLocalTimeZone());
  }

  @Override
  public StructType schema() {
    return schema;
  }

  @Override
  public long rowCount() {
    return rowCount;
  }

  @Override
  public RecordCursor open(int file) throws IOException {
    UnivocityParser parser = new UnivocityParser(schema, options);
    List<Function1<String, Object>> converters =
        Arrays.stream(schema.fields())
            .map(field -> parser.makeConverter(field.name(), field.dataType(), true))
            .toList();
    Tokens tokens = new Tokens(files.get(file));
    tokens.next();
    return new RecordCursor() {
      @Override
      public InternalRow next() {
        String[] row = tokens.next();
        if (row == null) {
          return null;
        }
        Object[] values = new Object[row.length];
        for (int i = 0; i < row.length; i++) {
          values[i] = converters.get(i).apply(row[i]);
        }
        return new GenericInternalRow(values);
      }

      @Override
      public void close() throws IOException {
        tokens.close();
      }
    };
  }

  private StructType schema(String[] header, DataType[] types, FileStatus file) {
    Set<String> names = new HashSet<>();
    for (String name : header) {
      if (name != null && !name.isEmpty() && !names.add(name)) {
        throw new InvalidInputException(
            "file "
                + file.getPath()
                + " names column '"
                + name
                + "' twice in its header line; rename one");
      }
    }
    String[] safe = CSVUtils.makeSafeHeader(header, true, options);
    StructField[] fields = new StructField[safe.length];
    for (int i = 0; i < safe.length; i++) {
      DataType type = types[i] instanceof NumericType ? types[i] : DataTypes.StringType;
      fields[i] = DataTypes.createStructField(safe[i], type, true);
    }
    return DataTypes.createStructType(fields);
  }

  /** The lines of one file, the header first, cut into fields. */
  private final class Tokens implements AutoCloseable {
    private final InputStream in;
    private final Iterator<String[]> lines;

    Tokens(FileStatus file) throws IOException {
      in = CodecStreams.createInputStream(conf, file.getPath());
      try {
        lines =
            UnivocityParser.tokenizeStream(
                in, false, new CsvParser(options.asParserSettings()), options.charset());
      } catch (RuntimeException e) {
        in.close();
        throw e;
      }
    }

    String[] next() {
      return lines.hasNext() ? lines.next() : null;
    }

    @Override
    public void close() throws IOException {
      in.close();
    }
  }
}
