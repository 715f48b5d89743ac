package org.fhespark.jobs.tables;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.mapred.FileSplit;
import org.apache.hadoop.mapreduce.RecordReader;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.TaskAttemptID;
import org.apache.hadoop.mapreduce.task.TaskAttemptContextImpl;
import org.apache.parquet.format.converter.ParquetMetadataConverter;
import org.apache.parquet.hadoop.Footer;
import org.apache.parquet.hadoop.ParquetInputFormat;
import org.apache.parquet.hadoop.ParquetRecordReader;
import org.apache.parquet.hadoop.metadata.BlockMetaData;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;
import org.apache.parquet.hadoop.metadata.ParquetMetadata;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.RebaseDateTime;
import org.apache.spark.sql.execution.datasources.DataSourceUtils;
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat;
import org.apache.spark.sql.execution.datasources.parquet.ParquetFooterReader;
import org.apache.spark.sql.execution.datasources.parquet.ParquetOptions;
import org.apache.spark.sql.execution.datasources.parquet.ParquetReadSupport;
import org.apache.spark.sql.execution.datasources.parquet.ParquetToSparkSchemaConverter;
import org.apache.spark.sql.execution.datasources.parquet.ParquetUtils;
import org.apache.spark.sql.execution.datasources.parquet.ParquetWriteSupport;
import org.apache.spark.sql.execution.datasources.parquet.VectorizedParquetRecordReader;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import scala.Option;

/**
 * Parquet files through the record readers of Spark's own {@code ParquetFileFormat}.
 *
 * <p>{@code ParquetFileFormat.buildReader} itself is not used: it broadcasts the Hadoop
 * configuration, with whatever credentials open the clear records, to where an executor can ask for
 * it.
 */
final class ParquetSource implements TableSource {
  /** What a batch of the vectorised reader may take, at eight bytes a value. */
  private static final long BATCH_BYTES = 8L << 20;

  private static final int MOST_BATCH_ROWS = 4096;

  private final List<FileStatus> files;
  private final SQLConf sqlConf;
  private final Configuration conf;
  private final StructType schema;
  private final List<Map<String, String>> metadata = new ArrayList<>();
  private final int batchRows;
  private final long rowCount;

  ParquetSource(TableFiles table, SQLConf sqlConf, Configuration hadoopConf) {
    this.files = table.files();
    this.sqlConf = sqlConf;
    this.conf = new Configuration(hadoopConf);
    ParquetToSparkSchemaConverter converter = new ParquetToSparkSchemaConverter(sqlConf);
    StructType first = null;
    long rows = 0;
    long values = 0;
    for (FileStatus file : files) {
      ParquetMetadata footer = footerOf(file);
      StructType found = schemaOf(file, footer, converter);
      if (first == null) {
        first = found;
      } else {
        requireSameColumns(files.get(0), first, file, found);
      }
      metadata.add(Map.copyOf(footer.getFileMetaData().getKeyValueMetaData()));
      for (BlockMetaData block : footer.getBlocks()) {
        rows += block.getRowCount();
        for (ColumnChunkMetaData column : block.getColumns()) {
          values += column.getValueCount();
        }
      }
    }
    this.schema = first;
    this.rowCount = rows;
    long bytesPerRow = rows == 0 ? 1 : Math.max(1, 8 * values / rows);
    this.batchRows = (int) Math.max(1, Math.min(MOST_BATCH_ROWS, BATCH_BYTES / bytesPerRow));
    configure();
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
  public RecordCursor open(int file) throws Exception {
    RecordReader<Void, ?> reader = newReader(metadata.get(file));
    FileStatus status = files.get(file);
    TaskAttemptContext context = new TaskAttemptContextImpl(conf, new TaskAttemptID());
    try {
      reader.initialize(
          new FileSplit(status.getPath(), 0, status.getLen(), new String[0]), context);
      if (reader instanceof VectorizedParquetRecordReader vectorized) {
        vectorized.initBatch(new StructType(), InternalRow.empty());
      }
    } catch (Exception e) {
      reader.close();
      throw e;
    }
    return new RecordCursor() {
      @Override
      public InternalRow next() throws Exception {
        return reader.nextKeyValue() ? (InternalRow) reader.getCurrentValue() : null;
      }

      @Override
      public void close() throws IOException {
        reader.close();
      }
    };
  }

  /** The vectorised reader hands out arrays without boxing; it does not know every type. */
  private RecordReader<Void, ?> newReader(Map<String, String> keyValues) {
    ParquetOptions options = new ParquetOptions(ScalaMaps.empty(), sqlConf);
    RebaseDateTime.RebaseSpec dates =
        DataSourceUtils.datetimeRebaseSpec(keyValues::get, options.datetimeRebaseModeInRead());
    RebaseDateTime.RebaseSpec int96 =
        DataSourceUtils.int96RebaseSpec(keyValues::get, options.int96RebaseModeInRead());
    if (ParquetUtils.isBatchReadSupportedForSchema(sqlConf, schema)) {
      return new VectorizedParquetRecordReader(
          null,
          dates.mode().toString(),
          dates.timeZone(),
          int96.mode().toString(),
          int96.timeZone(),
          false,
          batchRows);
    }
    return new ParquetRecordReader<>(new ParquetReadSupport(Option.empty(), false, dates, int96));
  }

  private void configure() {
    conf.set(ParquetInputFormat.READ_SUPPORT_CLASS, ParquetReadSupport.class.getName());
    conf.set(ParquetReadSupport.SPARK_ROW_REQUESTED_SCHEMA(), schema.json());
    conf.set(ParquetWriteSupport.SPARK_ROW_SCHEMA(), schema.json());
    conf.set(SQLConf.SESSION_LOCAL_TIMEZONE().key(), sqlConf.sessionLocalTimeZone());
    conf.setBoolean(
        SQLConf.NESTED_SCHEMA_PRUNING_ENABLED().key(), sqlConf.nestedSchemaPruningEnabled());
    // The requested columns are the file's own, so names that differ by case only stay apart.
    conf.setBoolean(SQLConf.CASE_SENSITIVE().key(), true);
    conf.setBoolean(SQLConf.PARQUET_BINARY_AS_STRING().key(), sqlConf.isParquetBinaryAsString());
    conf.setBoolean(
        SQLConf.PARQUET_INT96_AS_TIMESTAMP().key(), sqlConf.isParquetINT96AsTimestamp());
    conf.setBoolean(
        SQLConf.PARQUET_INFER_TIMESTAMP_NTZ_ENABLED().key(),
        sqlConf.parquetInferTimestampNTZEnabled());
    conf.setBoolean(
        SQLConf.LEGACY_PARQUET_NANOS_AS_LONG().key(), sqlConf.legacyParquetNanosAsLong());
    conf.setBoolean(
        SQLConf.PARQUET_READER_RESPECT_UNKNOWN_TYPE_ANNOTATION().key(),
        sqlConf.parquetReaderRespectUnknownTypeAnnotation());
  }

  private ParquetMetadata footerOf(FileStatus file) {
    try {
      return ParquetFooterReader.readFooter(
          HadoopInputFile.fromStatus(file, conf), ParquetMetadataConverter.NO_FILTER);
    } catch (Exception | StackOverflowError e) {
      // A damaged footer can drive the recursion that parses it to any depth.
      throw new InvalidInputException(
          "file "
              + file.getPath()
              + " is not a readable Parquet file: "
              + CauseLine.of(e)
              + "; write it again",
          e);
    }
  }

  private static StructType schemaOf(
      FileStatus file, ParquetMetadata footer, ParquetToSparkSchemaConverter converter) {
    try {
      return ParquetFileFormat.readSchemaFromFooter(new Footer(file.getPath(), footer), converter)
          .asNullable();
    } catch (Exception e) {
      throw new InvalidInputException(
          "file "
              + file.getPath()
              + " has a column that Spark cannot read: "
              + CauseLine.of(e)
              + "; leave that column out",
          e);
    }
  }

  private static void requireSameColumns(
      FileStatus firstFile, StructType first, FileStatus file, StructType found) {
    String where =
        "file "
            + file.getPath()
            + " does not have the columns of "
            + firstFile.getPath().getName()
            + ": ";
    String remedy = "; give all files of a table the same columns in the same order";
    if (first.length() != found.length()) {
      throw new InvalidInputException(
          where + found.length() + " columns instead of " + first.length() + remedy);
    }
    for (int i = 0; i < first.length(); i++) {
      StructField expected = first.fields()[i];
      StructField actual = found.fields()[i];
      if (!expected.name().equals(actual.name())
          || !expected.dataType().equals(actual.dataType())) {
        throw new InvalidInputException(
            where
                + "column "
                + (i + 1)
                + " is '"
                + actual.name()
                + "' "
                + actual.dataType().simpleString()
                + " instead of '"
                + expected.name()
                + "' "
                + expected.dataType().simpleString()
                + remedy);
      }
    }
  }
}
