package org.fhespark.jobs.server;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeoutException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkThrowable;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.binaryfile.BinaryFileFormat;
import org.apache.spark.sql.execution.streaming.sinks.FileStreamSink;
import org.apache.spark.sql.streaming.DataStreamReader;
import org.apache.spark.sql.streaming.DataStreamWriter;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.apache.spark.sql.streaming.StreamingQueryException;
import org.apache.spark.sql.streaming.Trigger;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.LongAccumulator;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.artifact.ServerSpecs;
import org.fhespark.jobs.blocks.BlockSettings;
import org.fhespark.jobs.blocks.BlockTableFiles;
import org.fhespark.jobs.blocks.BlockTableWriter;
import org.fhespark.jobs.blocks.JobDescription;
import org.fhespark.jobs.blocks.ResultTable;
import org.fhespark.jobs.client.EvaluationKeyFiles;
import org.fhespark.jobs.client.SentCircuits;
import org.fhespark.jobs.tables.CauseLine;
import org.fhespark.nativelib.KeyedCircuit;
import org.fhespark.nativelib.PublicKey;
import org.fhespark.sql.FheCatalog;
import org.fhespark.udf.BlockTable;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.EvaluateRows;
import org.fhespark.udf.FileReading;
import org.fhespark.udf.PublicKeyBytes;
import org.fhespark.udf.QuarantineTable;

/**
 * The server's side of scoring in jobs apart: executors read a table of blocks, evaluate them, and
 * write a table of results. It is a streaming query from files to files, so what was evaluated and
 * committed is not evaluated again, by whichever run, and result files are under their own names at
 * once, whatever the file system: the query's log says which of them count.
 */
public final class EvaluationJob implements AutoCloseable {
  /** Days by which a file of blocks may be older than the newest: as many as there can be. */
  private static final String MOST_FILE_AGE = "100000d";

  /** Where a query keeps its place, below the table of results. */
  private static final String CHECKPOINT = "_checkpoint";

  private static final String SEND_AGAIN =
      "; have it sent again or take its file away, or evaluate with --corrupt quarantine";

  /** What Spark calls that another query writes the same checkpoint. */
  private static final String CONCURRENT = "CONCURRENT_STREAM_LOG_UPDATE";

  /** Bytes of blocks after which results are committed. */
  private static final long BATCH_BYTES = 4L << 30;

  /** Of the file of a public key; one takes some ten kilobytes. */
  private static final long LARGEST_PUBLIC_KEY = 64L << 20;

  /** Where this job's session has the SQL functions on blocks. */
  private static final String CATALOG = "fhe_evaluation";

  /** Sums that a task adds to at a time. */
  private static final int MOST_SUMS = 16;

  private final SparkSession session;
  private final SentCircuits sent;

  private EvaluationJob(SparkSession spark) {
    this.session = BlockSettings.sessionOf(spark);
    session.conf().set("spark.sql.catalog." + CATALOG, FheCatalog.class.getName());
    // Sums are large: beyond so many a task sorts, and has one in memory.
    session.conf().set("spark.sql.objectHashAggregate.sortBased.fallbackThreshold", MOST_SUMS);
    this.sent = new SentCircuits(JavaSparkContext.fromSparkContext(spark.sparkContext()));
  }

  /**
   * Broadcasts the circuits of a server artefact, and keys of clients.
   *
   * @param evaluationKeys files, or folders of them; needed if a circuit takes one
   * @param publicKeys files, one a client; needed if a circuit re-randomises results
   * @throws InvalidInputException if the artefact or a key cannot be used, or an evaluation key is
   *     missing
   */
  public static EvaluationJob open(
      SparkSession spark,
      Path server,
      List<java.nio.file.Path> evaluationKeys,
      List<java.nio.file.Path> publicKeys) {
    List<EvaluationKeyFiles.Checked> given = new ArrayList<>();
    evaluationKeys.forEach(path -> given.addAll(EvaluationKeyFiles.find(path).files()));
    EvaluationJob job = new EvaluationJob(spark);
    try {
      ServerArtifact artifact =
          ServerArtifact.load(server, spark.sparkContext().hadoopConfiguration());
      for (ServerSpecs.Circuit listed : artifact.specs().circuits()) {
        byte[] file = artifact.circuit(listed.name());
        Circuit circuit = new Circuit(file);
        if (circuit.takesEvaluationKey()) {
          job.sent.sendKey(circuit.digest().hex(), keyOf(listed, file, given));
        }
        job.sent.send(circuit);
      }
      for (java.nio.file.Path file : publicKeys) {
        byte[] bytes = read(file);
        job.sent.sendPublicKey(clientKeyOf(file, bytes), new PublicKeyBytes(bytes));
      }
      return job;
    } catch (IOException error) {
      job.close();
      throw new InvalidInputException(server + ": cannot be read: " + error.getMessage(), error);
    } catch (Throwable error) {
      job.close();
      throw error;
    }
  }

  private static byte[] read(java.nio.file.Path publicKey) {
    try {
      if (Files.size(publicKey) > LARGEST_PUBLIC_KEY) {
        throw new InvalidInputException(
            publicKey + ": " + Files.size(publicKey) + " bytes are no public key");
      }
      return Files.readAllBytes(publicKey);
    } catch (NoSuchFileException error) {
      throw new InvalidInputException(
          publicKey + " does not exist: give the public.key that keygen wrote", error);
    } catch (IOException error) {
      throw new InvalidInputException(publicKey + ": cannot be read: " + error.getMessage(), error);
    }
  }

  /** The id of the client key that a public key belongs to. */
  private static String clientKeyOf(java.nio.file.Path file, byte[] bytes) {
    try (PublicKey key = PublicKey.open(bytes)) {
      return key.keyId();
    } catch (InvalidInputException error) {
      throw new InvalidInputException(file + ": " + error.getMessage(), error);
    }
  }

  private static EvaluationKeyFiles.Checked keyOf(
      ServerSpecs.Circuit listed, byte[] file, List<EvaluationKeyFiles.Checked> given) {
    try (KeyedCircuit circuit = KeyedCircuit.open(file)) {
      List<EvaluationKeyFiles.Checked> fitting =
          given.stream()
              .filter(key -> key.parameters().serves(circuit.parameters()))
              .distinct()
              .toList();
      if (fitting.isEmpty()) {
        throw new InvalidInputException(
            "circuit '"
                + listed.name()
                + "' takes the client's evaluation key: give the file that"
                + " keygen wrote with --evaluation-keys");
      }
      if (fitting.size() > 1) {
        throw new InvalidInputException(
            "circuit '"
                + listed.name()
                + "' got evaluation keys of client keys "
                + fitting.get(0).keyId()
                + " and "
                + fitting.get(1).keyId()
                + ": evaluate the blocks of each client in a job of its own");
      }
      return fitting.get(0);
    }
  }

  /** {@link #run(Path, Path, CorruptBlocks)} that fails with the first corrupt block. */
  public EvaluationReport run(Path blocks, Path results) {
    return run(blocks, results, CorruptBlocks.FAIL);
  }

  /**
   * Evaluates the blocks that are there and not evaluated yet.
   *
   * @param blocks a table of blocks
   * @param results a table to which results are added; it keeps the place in {@code blocks}
   * @param corrupt what becomes of blocks that are damaged, or of another model or key, and of
   *     files that cannot be read
   * @throws InvalidInputException if a table cannot be read or written, another job writes {@code
   *     results}, or there is a corrupt block and it is to fail
   */
  public EvaluationReport run(Path blocks, Path results, CorruptBlocks corrupt) {
    if (!exists(blocks)) {
      throw new InvalidInputException(
          "blocks " + blocks + " does not exist: check the path, and that encrypt has written it");
    }
    return evaluate(blocks, results, corrupt, Trigger.AvailableNow(), false);
  }

  /** {@link #watch(Path, Path, Duration, CorruptBlocks)} that fails with a corrupt block. */
  public EvaluationReport watch(Path blocks, Path results, Duration interval) {
    return watch(blocks, results, interval, CorruptBlocks.FAIL);
  }

  /**
   * Evaluates blocks as they appear, until the calling thread is interrupted or a block cannot be
   * evaluated.
   *
   * @param interval how often it looks for new blocks
   * @param corrupt as of {@link #run}
   * @throws InvalidInputException as {@link #run}
   * @throws CancellationException if the thread is interrupted
   */
  public EvaluationReport watch(
      Path blocks, Path results, Duration interval, CorruptBlocks corrupt) {
    makeFolder(blocks);
    return evaluate(blocks, results, corrupt, Trigger.ProcessingTime(interval.toMillis()), true);
  }

  private EvaluationReport evaluate(
      Path blocks, Path results, CorruptBlocks corrupt, Trigger trigger, boolean isWatching) {
    // Which streaming queries are not, as Spark would warn.
    session.conf().set("spark.sql.adaptive.enabled", false);
    long start = System.nanoTime();
    try (EvaluationLease lease = EvaluationLease.take(results, hadoopConfiguration())) {
      requireNoSums(results);
      StructType schema;
      try (JobDescription description =
          JobDescription.set(session.sparkContext(), "look at the encrypted blocks of " + blocks)) {
        schema = schemaOf(blocks, corrupt);
      }
      if (corrupt == CorruptBlocks.QUARANTINE) {
        QuarantiningBatches batches =
            new QuarantiningBatches(
                session, sent.countedWork(), sent.work(), schema, blocks, results, isWatching);
        Dataset<Row> paths =
            reader()
                // Files, of which each batch reads those that can be read.
                .format("binaryFile")
                .schema(BinaryFileFormat.schema())
                .load(blocks.toString())
                .select("path");
        await(query(paths, blocks, results, trigger).foreachBatch(batches).start());
        return batches.report(seconds(start));
      }
      LongAccumulator evaluated = session.sparkContext().longAccumulator();
      EvaluateRows work =
          EvaluateRows.strict(sent.countedWork(), schema, blocks.toString(), SEND_AGAIN, evaluated);
      Dataset<Row> evaluating =
          reader()
              .schema(schema)
              .parquet(blocks.toString())
              .select(QuarantineTable.places())
              .mapPartitions(work, Encoders.row(schema));
      await(
          query(evaluating, blocks, results, trigger).format("parquet").start(results.toString()));
      return new EvaluationReport(evaluated.value(), 0, 0, seconds(start));
    } catch (Exception | FSError error) {
      throw explain(error, blocks, results);
    }
  }

  private static DataStreamWriter<Row> query(
      Dataset<Row> rows, Path blocks, Path results, Trigger trigger) {
    return rows.writeStream()
        // Spark describes the jobs by it.
        .queryName("evaluate the encrypted blocks of " + blocks + " to " + results)
        .option("checkpointLocation", new Path(results, CHECKPOINT).toString())
        .trigger(trigger);
  }

  private DataStreamReader reader() {
    return session
        .readStream()
        .option("maxBytesPerTrigger", BATCH_BYTES)
        // Else a file that is a week older than the newest would be left out without a word.
        .option("maxFileAge", MOST_FILE_AGE);
  }

  /**
   * Evaluates the blocks of groups and adds the results of each group and module, on the executors.
   * Groups of which a sum is there, and those whose blocks are not all there, are left.
   *
   * @param blocks a table of blocks of groups
   * @param results a table to which sums are added, a row a group and module; of no {@link #run}
   * @throws InvalidInputException as {@link #run}, and if a group has more blocks than its circuit
   *     was compiled for
   */
  public SumReport sum(Path blocks, Path results) {
    long start = System.nanoTime();
    // Groups may be few.
    session.conf().set("spark.sql.adaptive.enabled", true);
    try (EvaluationLease lease = EvaluationLease.take(results, hadoopConfiguration());
        JobDescription description =
            JobDescription.set(
                session.sparkContext(), "sums of the encrypted blocks of " + blocks)) {
      List<Path> files = BlockTableFiles.list(session, blocks);
      if (files.isEmpty()) {
        throw new InvalidInputException(
            "blocks "
                + blocks
                + " holds no blocks: check the path, and that encrypt --group-by has written it");
      }
      requireNoQuery(results);
      Dataset<Row> table = session.read().parquet(paths(files));
      BlockTable.requireGroups(table.schema(), blocks.toString());
      List<Group> groups = groupsWithoutSum(table, blocks, results);
      List<Group> whole = groups.stream().filter(Group::isWhole).toList();
      if (!whole.isEmpty()) {
        List<Long> numbers = whole.stream().map(Group::number).toList();
        sum(table.where(col(BlockTable.GROUP).isInCollection(numbers)), blocks, results);
      }
      return new SumReport(
          whole.stream().mapToLong(Group::found).sum(),
          whole.size(),
          groups.size() - whole.size(),
          seconds(start));
    } catch (Exception | FSError error) {
      throw explain(error, blocks, results);
    }
  }

  /**
   * A group of one module.
   *
   * @param blocks that it has
   * @param found those of them that are there
   */
  private record Group(long number, int blocks, int found) {
    boolean isWhole() {
      return found == blocks;
    }

    Group plus(Group more) {
      return new Group(number, blocks, found + more.found);
    }
  }

  private List<Group> groupsWithoutSum(Dataset<Row> table, Path blocks, Path results) {
    Map<Long, Group> groups = new HashMap<>();
    Map<Long, Row> places = new HashMap<>();
    List<Row> rows =
        table
            .select(QuarantineTable.places())
            .select(
                BlockTable.GROUP,
                BlockTable.GROUP_BLOCKS,
                BlockTable.NUMBER,
                QuarantineTable.FILE,
                QuarantineTable.ROW)
            .collectAsList();
    ResultTable sums = ResultTable.openToCome(session, results);
    sums.refresh();
    for (Row row : rows) {
      requireGroup(row, blocks);
      if (!sums.has(row.getLong(0))) {
        requireOnce(row, places.put(row.getLong(2), row));
        groups.merge(row.getLong(0), new Group(row.getLong(0), row.getInt(1), 1), Group::plus);
      }
    }
    return List.copyOf(groups.values());
  }

  /** That it is told which group a block is of; what is in the block is looked at later. */
  private static void requireGroup(Row row, Path blocks) {
    for (int column = 0; column < 3; column++) {
      if (row.isNullAt(column)) {
        throw new InvalidInputException(
            "blocks "
                + blocks
                + ": column '"
                + row.schema().fieldNames()[column]
                + "' is NULL in file "
                + FileReading.pathOf(row.getString(3))
                + ", row "
                + row.getLong(4)
                + "; leave out rows that are of no group");
      }
    }
  }

  /**
   * A block that is added twice makes another sum.
   *
   * @param before the place of another block of its number; null if there is none
   */
  private static void requireOnce(Row row, Row before) {
    if (before != null) {
      throw new InvalidInputException(
          "block number "
              + row.getLong(2)
              + " of a group is there twice, in file "
              + FileReading.pathOf(before.getString(3))
              + ", row "
              + before.getLong(4)
              + ", and file "
              + FileReading.pathOf(row.getString(3))
              + ", row "
              + row.getLong(4)
              + ": take one of them away");
    }
  }

  /** Evaluates blocks of whole groups and writes their sums. */
  private void sum(Dataset<Row> table, Path blocks, Path results) {
    EvaluateRows work =
        EvaluateRows.strict(
            sent.work(),
            table.schema(),
            blocks.toString(),
            "; have it sent again, or take its file away",
            null);
    table
        .select(QuarantineTable.places())
        .mapPartitions(work, Encoders.row(table.schema()))
        .groupBy(
            BlockTable.CIRCUIT,
            BlockTable.MODULE,
            BlockTable.KEY,
            BlockTable.GROUP,
            BlockTable.RECORDS)
        .agg(expr(CATALOG + ".sum(" + BlockTable.BLOCK + ")").as(BlockTable.BLOCK))
        .foreachPartition(new WriteSums(BlockTableWriter.format(session), results));
  }

  private static String[] paths(List<Path> files) {
    return files.stream().map(Path::toString).toArray(String[]::new);
  }

  /** What a query writes to a table would make all else there count no more. */
  private void requireNoSums(Path results) {
    if (BlockTableFiles.list(session, results).stream().anyMatch(BlockTableWriter::hasWritten)) {
      throw new InvalidInputException(
          "results " + results + " holds blocks or sums already; give results another folder");
    }
  }

  /** Of a table that a query writes only what it has written counts. */
  private void requireNoQuery(Path results) throws IOException {
    Path log = new Path(results, FileStreamSink.metadataDir());
    if (log.getFileSystem(hadoopConfiguration()).exists(log)) {
      throw new InvalidInputException(
          "results " + results + " holds results that were not added; give sums another folder");
    }
  }

  /**
   * The columns of a table that may have no file yet. One file that can be read tells them; others
   * may have been put aside before.
   */
  private StructType schemaOf(Path blocks, CorruptBlocks corrupt) {
    InvalidInputException first = null;
    for (Path file : BlockTableFiles.list(session, blocks)) {
      try {
        StructType schema = session.read().parquet(file.toString()).schema();
        BlockTable.requireColumns(schema, file.toString());
        return schema;
      } catch (Exception error) {
        // Scala declares no checked exception.
        if (first == null) {
          first = unreadable(file, error);
        }
      }
    }
    if (first != null && corrupt == CorruptBlocks.FAIL) {
      throw first;
    }
    return BlockTable.schema();
  }

  private static InvalidInputException unreadable(Path file, Exception error) {
    String message =
        InvalidInputException.in(error)
            .map(Throwable::getMessage)
            .orElseGet(() -> "file " + file + " cannot be read: " + CauseLine.of(error));
    return new InvalidInputException(message + SEND_AGAIN, error);
  }

  /** Waits for the end of a query. */
  private static void await(StreamingQuery query) throws StreamingQueryException {
    try {
      query.awaitTermination();
    } finally {
      stop(query);
    }
  }

  private static double seconds(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  /** On a thread that is interrupted nothing would wait for the query to end. */
  private static void stop(StreamingQuery query) {
    boolean isInterrupted = Thread.interrupted();
    try {
      if (query.isActive()) {
        query.stop();
      }
    } catch (TimeoutException error) {
      throw new IllegalStateException("the query does not stop", error);
    } finally {
      if (isInterrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private boolean exists(Path folder) {
    try {
      return folder.getFileSystem(hadoopConfiguration()).exists(folder);
    } catch (IOException error) {
      throw cannotList(folder, error);
    }
  }

  private void makeFolder(Path folder) {
    try {
      FileSystem files = folder.getFileSystem(hadoopConfiguration());
      files.mkdirs(folder);
    } catch (IOException error) {
      throw cannotList(folder, error);
    }
  }

  private static InvalidInputException cannotList(Path folder, IOException error) {
    return new InvalidInputException(
        "blocks "
            + folder
            + " cannot be listed: "
            + CauseLine.of(error)
            + "; check path and rights",
        error);
  }

  private Configuration hadoopConfiguration() {
    return session.sparkContext().hadoopConfiguration();
  }

  private static RuntimeException explain(Throwable error, Path blocks, Path results) {
    Optional<InvalidInputException> said = InvalidInputException.in(error);
    if (said.isPresent()) {
      return said.get();
    }
    String advice = "";
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof InterruptedException) {
        Thread.currentThread().interrupt();
        return new CancellationException("the evaluation was interrupted");
      }
      if (cause instanceof SparkThrowable thrown && CONCURRENT.equals(thrown.getCondition())) {
        return EvaluationLease.taken(results, "another job");
      }
      if (cause instanceof IOException || cause instanceof FSError) {
        advice = "; see that both can be read and written and have room, and evaluate again";
      }
    }
    return new InvalidInputException(
        "blocks "
            + blocks
            + " cannot be evaluated to results "
            + results
            + ": "
            + CauseLine.of(error)
            + advice,
        error);
  }

  /** Takes circuits and keys back from the executors; the Spark session stays open. */
  @Override
  public void close() {
    sent.close();
  }
}
