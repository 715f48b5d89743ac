package org.fhespark.jobs.tables;

import java.io.IOException;
import java.io.Serializable;
import java.util.Locale;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.TaskAttemptID;
import org.apache.hadoop.mapreduce.task.TaskAttemptContextImpl;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.FileFormat;
import org.apache.spark.sql.execution.datasources.OutputWriter;
import org.apache.spark.sql.execution.datasources.OutputWriterFactory;
import org.apache.spark.sql.execution.datasources.csv.CSVFileFormat;
import org.apache.spark.sql.execution.datasources.json.JsonFileFormat;
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;

/**
 * How one of Spark's formats writes the part files of a table. A session prepares it; the files may
 * then be written where there is none, as on executors.
 */
public final class PartFormat implements Serializable {
  private static final long serialVersionUID = 1;

  private final StructType schema;
  private final OutputWriterFactory factory;
  private final SerializableConfiguration conf;

  /**
   * Prepares a format with a session's settings.
   *
   * @param schema whose types the format can hold
   * @throws IOException if the session's Hadoop settings make no job
   */
  public PartFormat(SparkSession session, StructType schema, TableFormat format)
      throws IOException {
    Job job = Job.getInstance(hadoopConf(session));
    this.schema = schema;
    this.factory =
        fileFormat(format).prepareWrite(session, job, ScalaMaps.of(options(format)), schema);
    this.conf = new SerializableConfiguration(job.getConfiguration());
  }

  /** Of the session, with its own settings. */
  static Configuration hadoopConf(SparkSession session) {
    return ((org.apache.spark.sql.classic.SparkSession) session).sessionState().newHadoopConf();
  }

  static FileFormat fileFormat(TableFormat format) {
    return switch (format) {
      case PARQUET -> new ParquetFileFormat();
      case CSV -> new CSVFileFormat();
      case JSON -> new JsonFileFormat();
    };
  }

  private static Map<String, String> options(TableFormat format) {
    return switch (format) {
      case PARQUET -> Map.of();
      case CSV -> Map.of("header", "true");
      // A column must not vanish because a part file holds nothing but nulls in it.
      case JSON -> Map.of("ignoreNullFields", "false");
    };
  }

  /** Of the rows that it writes. */
  public StructType schema() {
    return schema;
  }

  /** Hadoop's, with what the format has set in it. */
  public Configuration conf() {
    return conf.value();
  }

  /** The ending of part files, as {@code .snappy.parquet}. */
  public String ending() {
    return factory.getFileExtension(context());
  }

  /** The name of a table's part, counted from 0. */
  static String partName(int number, String ending) {
    return String.format(Locale.ROOT, "part-%05d", number) + ending;
  }

  /** Begins a file; Spark's writers, in Scala, throw IOException without declaring it. */
  public OutputWriter begin(Path file) {
    return factory.newInstance(file.toString(), schema, context());
  }

  private TaskAttemptContext context() {
    return new TaskAttemptContextImpl(conf.value(), new TaskAttemptID());
  }
}
