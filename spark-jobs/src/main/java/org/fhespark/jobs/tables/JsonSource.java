package org.fhespark.jobs.tables;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.json.JSONOptions;
import org.apache.spark.sql.catalyst.json.JacksonParser;
import org.apache.spark.sql.catalyst.json.JsonInferSchema;
import org.apache.spark.sql.catalyst.util.FailFastMode$;
import org.apache.spark.sql.execution.datasources.CodecStreams;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.fhespark.InvalidInputException;
import scala.Function2;
import scala.collection.immutable.Nil$;
import scala.collection.immutable.Seq;

/**
 * JSON lines files, through Spark's parser.
 *
 * <p>The types come from a first pass over every record. Spark would sort the columns by name; here
 * they keep the order of first appearance, because a table of plain numeric columns is a vector in
 * that order.
 */
final class JsonSource implements TableSource {
  private static final Map<String, String> OPTIONS = Map.of("mode", "FAILFAST");

  private final List<FileStatus> files;
  private final Configuration conf;
  private final JSONOptions options;
  private final StructType schema;
  private final long rowCount;

  JsonSource(TableFiles table, SQLConf sqlConf, Configuration conf) {
    this.files = table.files();
    this.conf = conf;
    this.options =
        new JSONOptions(
            ScalaMaps.of(OPTIONS),
            sqlConf.sessionLocalTimeZone(),
            sqlConf.columnNameOfCorruptRecord());
    JsonInferSchema inference = new JsonInferSchema(options);
    Function2<DataType, DataType, DataType> merge =
        JsonInferSchema.compatibleRootType(
            sqlConf.columnNameOfCorruptRecord(), FailFastMode$.MODULE$);
    JsonFactory factory = options.buildJsonFactory();
    Set<String> order = new LinkedHashSet<>();
    DataType type = DataTypes.createStructType(new StructField[0]);
    long rows = 0;
    for (FileStatus file : files) {
      try (Lines lines = new Lines(file)) {
        for (String line = lines.next(); line != null; line = lines.next()) {
          try {
            addNames(factory, line, order);
            try (JsonParser parser = factory.createParser(line)) {
              parser.nextToken();
              type = merge.apply(type, inference.inferField(parser));
            }
          } catch (Exception e) {
            throw malformed(file, lines.number, e);
          }
          rows++;
        }
      } catch (IOException e) {
        throw new InvalidInputException(
            "file " + file.getPath() + " cannot be read: " + CauseLine.of(e) + "; write it again",
            e);
      }
    }
    // Records without any field have no canonical type; they make a table without columns.
    DataType canonical = order.isEmpty() ? type : inference.canonicalizeType(type, options).get();
    this.schema = inOrder((StructType) canonical, order);
    this.rowCount = rows;
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
    JacksonParser parser = new JacksonParser(schema, options, false, noFilters());
    Lines lines = new Lines(files.get(file));
    return new RecordCursor() {
      @Override
      public InternalRow next() throws IOException {
        String line = lines.next();
        if (line == null) {
          return null;
        }
        try {
          return parser.parse(line, JsonSource::parserOf, UTF8String::fromString).head();
        } catch (Exception e) {
          throw malformed(files.get(file), lines.number, e);
        }
      }

      @Override
      public void close() throws IOException {
        lines.close();
      }
    };
  }

  @SuppressWarnings("unchecked")
  private static Seq<Filter> noFilters() {
    return (Seq<Filter>) (Seq<?>) Nil$.MODULE$;
  }

  private static JsonParser parserOf(JsonFactory factory, String line) {
    try {
      return factory.createParser(line);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void addNames(JsonFactory factory, String line, Set<String> order)
      throws IOException {
    Set<String> own = new HashSet<>();
    try (JsonParser parser = factory.createParser(line)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw new IOException("a record must be a JSON object");
      }
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        if (!own.add(name)) {
          throw new IOException("field '" + name + "' appears twice");
        }
        order.add(name);
        parser.nextToken();
        parser.skipChildren();
      }
      if (parser.nextToken() != null) {
        throw new IOException("text follows the object");
      }
    }
  }

  private static StructType inOrder(StructType inferred, Set<String> order) {
    StructField[] fields =
        order.stream().map(name -> inferred.apply(name)).toArray(StructField[]::new);
    return DataTypes.createStructType(fields);
  }

  private static InvalidInputException malformed(FileStatus file, long number, Exception e) {
    return new InvalidInputException(
        "file "
            + file.getPath()
            + ", line "
            + number
            + " is not a record: "
            + CauseLine.of(e)
            + "; write one JSON object a line",
        e);
  }

  /** The lines of one file that are not blank. */
  private final class Lines implements AutoCloseable {
    private final BufferedReader in;
    private long number;

    Lines(FileStatus file) throws IOException {
      in =
          new BufferedReader(
              new InputStreamReader(
                  CodecStreams.createInputStream(conf, file.getPath()), StandardCharsets.UTF_8));
    }

    String next() throws IOException {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        number++;
        if (number == 1 && line.startsWith("\uFEFF")) {
          line = line.substring(1);
        }
        if (!line.isBlank()) {
          return line;
        }
      }
      return null;
    }

    @Override
    public void close() throws IOException {
      in.close();
    }
  }
}
