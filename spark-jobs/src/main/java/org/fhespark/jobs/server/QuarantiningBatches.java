package org.fhespark.jobs.server;

import static org.apache.spark.sql.functions.col;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.function.ForeachPartitionFunction;
import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat;
import org.apache.spark.sql.execution.streaming.sinks.FileStreamSink;
import org.apache.spark.sql.execution.streaming.sinks.FileStreamSinkLog;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.CollectionAccumulator;
import org.apache.spark.util.LongAccumulator;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.blocks.BlockTableFiles;
import org.fhespark.udf.EvaluateBlocks;
import org.fhespark.udf.EvaluateRows;
import org.fhespark.udf.FileReading;
import org.fhespark.udf.QuarantineTable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.Option;
import scala.collection.immutable.Map$;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What an evaluation that goes on past corrupt blocks does with each batch of files: writes the
 * results of all that can be evaluated, and the rest to a table below them.
 *
 * <p>Both tables get each batch once, whichever runs and attempts there are: Spark's file sink
 * knows from its log which batches it has. What is refused depends on the bytes alone, so files of
 * which rows were refused are evaluated once more for the second table. A run that ended between
 * the two tables is made good by the next, which does that with all files of the batch.
 */
final class QuarantiningBatches implements VoidFunction2<Dataset<Row>, Long> {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(QuarantiningBatches.class);

  private final transient SparkSession session;
  private final EvaluateBlocks evaluation;
  private final EvaluateBlocks evaluationAgain;
  private final StructType schema;
  private final StructType quarantineSchema;
  private final String blocks;
  private final Path results;
  private final Path quarantine;
  private final boolean isWatching;
  private long evaluated;
  private long refusedBlocks;
  private long refusedFiles;

  /**
   * @param evaluation of blocks whose results are written
   * @param evaluationAgain of those that are looked at once more
   * @param schema of the blocks
   * @param isWatching whether to log what could not be evaluated, batch by batch
   */
  QuarantiningBatches(
      SparkSession session,
      EvaluateBlocks evaluation,
      EvaluateBlocks evaluationAgain,
      StructType schema,
      Path blocks,
      Path results,
      boolean isWatching) {
    this.session = session;
    this.evaluation = evaluation;
    this.evaluationAgain = evaluationAgain;
    this.schema = schema;
    this.quarantineSchema = QuarantineTable.schema(schema);
    this.blocks = blocks.toString();
    this.results = results;
    this.isWatching = isWatching;
    this.quarantine = BlockTableFiles.quarantine(results);
  }

  /** An evaluation of some files that has not run yet, and what it counts. */
  private record Evaluation(
      Dataset<Row> rows, LongAccumulator evaluated, CollectionAccumulator<String> refused) {
    Dataset<Row> refusedRows() {
      return rows.where(col(QuarantineTable.REASON).isNotNull());
    }
  }

  /**
   * @param batch a column of paths
   */
  @Override
  public void call(Dataset<Row> batch, Long number) throws IOException {
    List<String> files = new ArrayList<>(batch.as(Encoders.STRING()).collectAsList());
    Map<String, String> unreadable = Map.of();
    List<String> withRefused;
    if (lastBatch(results) >= number) {
      unreadable = takeUnreadable(files);
      withRefused = files;
    } else {
      try {
        withRefused = writeResults(files, number);
      } catch (Exception error) {
        if (InvalidInputException.in(error).isEmpty()) {
          throw error;
        }
        unreadable = takeUnreadable(files);
        if (unreadable.isEmpty()) {
          throw error;
        }
        withRefused = writeResults(files, number);
      }
    }
    if (lastBatch(quarantine) < number && !(withRefused.isEmpty() && unreadable.isEmpty())) {
      writeQuarantine(withRefused, unreadable, number);
    }
  }

  /** Returns the files of which rows were refused. */
  private List<String> writeResults(List<String> files, long number) {
    Evaluation all = evaluation(files, evaluation);
    Column[] columns =
        List.of(schema.fieldNames()).stream()
            .map(name -> col("`" + name.replace("`", "``") + "`"))
            .toArray(Column[]::new);
    sink(results)
        .addBatch(number, all.rows().where(col(QuarantineTable.REASON).isNull()).select(columns));
    evaluated += all.evaluated().value();
    return all.refused().value().stream().distinct().sorted().toList();
  }

  private void writeQuarantine(List<String> files, Map<String, String> unreadable, long number) {
    List<Row> ofFiles = new ArrayList<>();
    unreadable.forEach(
        (file, reason) -> {
          Object[] values = new Object[quarantineSchema.length()];
          values[quarantineSchema.fieldIndex(QuarantineTable.FILE)] = file;
          values[quarantineSchema.fieldIndex(QuarantineTable.REASON)] = reason;
          ofFiles.add(RowFactory.create(values));
        });
    Evaluation again = evaluation(files, evaluationAgain);
    Dataset<Row> refused =
        again.refusedRows().union(session.createDataFrame(ofFiles, quarantineSchema));
    sink(quarantine).addBatch(number, refused);
    int refusedNow = again.refused().value().size();
    refusedBlocks += refusedNow;
    refusedFiles += unreadable.size();
    if (isWatching) {
      LOG.warn(
          "{} blocks and {} files of {} could not be evaluated and are in {}",
          refusedNow,
          unreadable.size(),
          blocks,
          quarantine);
    }
  }

  private Evaluation evaluation(List<String> files, EvaluateBlocks blocksWork) {
    LongAccumulator counted = session.sparkContext().longAccumulator();
    CollectionAccumulator<String> refused = session.sparkContext().collectionAccumulator();
    EvaluateRows work = EvaluateRows.quarantining(blocksWork, schema, blocks, counted, refused);
    Dataset<Row> rows =
        files.isEmpty()
            ? session.createDataFrame(List.of(), quarantineSchema)
            : read(files)
                .select(QuarantineTable.places())
                .mapPartitions(work, Encoders.row(quarantineSchema));
    return new Evaluation(rows, counted, refused);
  }

  private Dataset<Row> read(List<String> files) {
    return session.read().schema(schema).parquet(files.toArray(String[]::new));
  }

  /**
   * Takes the files that cannot be read to their ends from others; those that are not there any
   * more stay.
   *
   * @return why, by file
   */
  private Map<String, String> takeUnreadable(List<String> files) throws IOException {
    Configuration conf = session.sparkContext().hadoopConfiguration();
    Map<String, String> reasons = new TreeMap<>();
    for (String file : files) {
      Path path = new Path(file);
      if (!path.getFileSystem(conf).exists(path)) {
        continue;
      }
      try {
        read(List.of(file)).foreachPartition(readAll());
      } catch (Exception error) {
        // Scala declares no checked exception.
        InvalidInputException reason = InvalidInputException.in(error).orElse(null);
        if (reason == null) {
          throw error;
        }
        reasons.put(file, reason.getMessage());
      }
    }
    files.removeAll(reasons.keySet());
    return reasons;
  }

  private static ForeachPartitionFunction<Row> readAll() {
    return rows -> new FileReading<>(rows, "").forEachRemaining(row -> {});
  }

  private FileStreamSink sink(Path folder) {
    return new FileStreamSink(
        session,
        folder.toString(),
        new ParquetFileFormat(),
        CollectionConverters.asScala(List.<String>of()).toSeq(),
        Map$.MODULE$.empty());
  }

  /** The last batch that a table has; -1 if there is none. */
  private long lastBatch(Path folder) throws IOException {
    Path log = new Path(folder, FileStreamSink.metadataDir());
    if (!log.getFileSystem(session.sparkContext().hadoopConfiguration()).exists(log)) {
      return -1;
    }
    Option<Object> last =
        new FileStreamSinkLog(FileStreamSinkLog.VERSION(), session, log.toString(), Option.empty())
            .getLatestBatchId();
    return last.isEmpty() ? -1 : (Long) last.get();
  }

  /** What all batches came to. */
  EvaluationReport report(double seconds) {
    return new EvaluationReport(evaluated, refusedBlocks, refusedFiles, seconds);
  }
}
