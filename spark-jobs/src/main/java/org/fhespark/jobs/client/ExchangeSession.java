package org.fhespark.jobs.client;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.blocks.BlockTableWriter;
import org.fhespark.jobs.blocks.JobDescription;
import org.fhespark.jobs.blocks.ResultTable;
import org.fhespark.jobs.tables.CauseLine;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.OutputColumns;
import org.fhespark.jobs.tables.PartFormat;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.jobs.tables.TableWriter;
import org.fhespark.nativelib.ClientKey;

/**
 * The client's side of scoring in jobs apart: each step ends with a table of encrypted blocks, for
 * somebody else to evaluate ({@link org.fhespark.jobs.server.EvaluationJob}), and begins with the
 * results. A model with remote modules behind one another takes as many rounds as there are stages.
 * Between the steps the records, with their clear tensors, are in a folder of the client's.
 *
 * <p>Values are those of {@link HybridSession} in mode EXECUTE, bit for bit. One step at a time:
 * other threads wait.
 */
public final class ExchangeSession implements AutoCloseable {
  /** Blocks that an error names. */
  private static final int MOST_NAMED = 3;

  private final SparkSession spark;
  private final HybridModel model;
  private final ClientKey key;
  private final ExchangeSteps steps;

  private ExchangeSession(SparkSession spark, HybridModel model, ClientKey key) {
    this.spark = spark;
    this.model = model;
    this.key = key;
    this.steps =
        new ExchangeSteps(
            model,
            key,
            Math.max(1, spark.sparkContext().defaultParallelism()),
            Runtime.getRuntime().availableProcessors(),
            OutOfRange.of(spark));
  }

  static ExchangeSession open(SparkSession spark, HybridModel model, ClientKey key) {
    DeployMode.requireClient(spark);
    return new ExchangeSession(spark, model, key);
  }

  /** Whether {@link #encrypt} or {@link #exchange} left something in a state. */
  public static boolean isBegun(java.nio.file.Path state) {
    return ExchangeState.isBegun(state);
  }

  /**
   * The id of the key that a state's records are encrypted under.
   *
   * @throws InvalidInputException if {@code state} is no folder that {@link #encrypt} made, or of
   *     another model
   */
  public static String keyOf(HybridModel model, java.nio.file.Path state) {
    ExchangeState found = ExchangeState.read(state);
    found.requireClient(model.client().id());
    return found.entry().key();
  }

  /**
   * Takes a table's records to the first round and writes its blocks.
   *
   * @param input as of {@link HybridSession#score}
   * @param state a local folder that does not exist or is empty; the client's own, mode 0700
   * @param blocks a table to which blocks are added
   * @throws InvalidInputException as {@link HybridSession#score}, and if the state cannot be
   *     written
   */
  public synchronized RoundReport encrypt(
      Path input, java.nio.file.Path state, Path blocks, ScoreProgress progress) {
    long start = System.nanoTime();
    try (TableReader reader = TableReader.open(spark, input)) {
      // Refuses now what could not be written in the end.
      new OutputColumns(reader.schema(), model.specs().outputs(), reader.name());
      InputBinding binding =
          InputBinding.bind(reader.schema(), model.specs().inputs(), reader.name());
      ExchangeState opened = ExchangeState.create(state);
      progress.started(reader.rowCountHint());
      try (TableWriter records =
          TableWriter.create(
              spark, opened.records(), reader.schema(), TableFormat.PARQUET, false)) {
        BlockTableWriter writer = new BlockTableWriter(spark, blocks);
        ExchangeState.Entry entry =
            steps.encrypt(
                reader.rows(), binding, input.toString(), opened, writer, records::write, progress);
        records.commit();
        opened.enter(entry);
        return report(entry.records(), 0, writer, 0, start);
      } catch (Throwable error) {
        opened.delete();
        throw error;
      } finally {
        progress.ended();
      }
    }
  }

  /**
   * As {@link #encrypt}, on the executors of a cluster that the client trusts: they read model and
   * key themselves, the key from a file that every host has. Parts of the records go their own ways
   * through the rounds; {@link #decrypt} puts them together, in the order of the dataset's
   * partitions.
   *
   * @param records any dataset of the cluster
   * @param table what errors and the state call it
   * @param state a folder as of {@link #encrypt} that all hosts have mounted
   * @param keys of this session's key, on every host
   * @throws InvalidInputException as {@link #encrypt}, and if a host has another key or none
   */
  public synchronized RoundReport encryptOnCluster(
      Dataset<Row> records, String table, java.nio.file.Path state, Path blocks, KeysOnHosts keys) {
    long start = System.nanoTime();
    new OutputColumns(records.schema(), model.specs().outputs(), table);
    InputBinding.bind(records.schema(), model.specs().inputs(), table);
    ExchangeState opened = ExchangeState.create(state);
    try (JobDescription unused =
        JobDescription.set(spark.sparkContext(), "encrypt the records of " + table)) {
      EncryptPartition work =
          new EncryptPartition(
              model.client().folder(),
              keys,
              key.id(),
              OutOfRange.of(spark),
              table,
              opened,
              blocks,
              BlockTableWriter.format(spark),
              new PartFormat(spark, records.schema(), TableFormat.PARQUET));
      List<long[]> parts =
          records.toJavaRDD().mapPartitionsWithIndex(work, false).collect().stream()
              .sorted(Comparator.comparingLong(part -> part[0]))
              .toList();
      if (parts.isEmpty()) {
        throw new InvalidInputException(
            "table " + table + " is empty: give one with at least one record");
      }
      ExchangeState.Entry entry =
          ExchangeState.Entry.ofParts(
              model.client().id(),
              key.id(),
              table,
              total(parts, 1),
              parts.stream().map(part -> (int) part[0]).toList());
      opened.enter(entry);
      return new RoundReport(
          entry.records(),
          1,
          steps.rounds(),
          total(parts, 2),
          total(parts, 3),
          0,
          total(parts, 4),
          seconds(start));
    } catch (Throwable error) {
      opened.giveUp();
      throw explain(error, table);
    }
  }

  /**
   * As the other, of a table.
   *
   * @param input Parquet or JSON
   * @throws InvalidInputException as the other, and if the table is CSV
   */
  public synchronized RoundReport encryptOnCluster(
      Path input, java.nio.file.Path state, Path blocks, KeysOnHosts keys) {
    try (TableReader reader = TableReader.open(spark, input)) {
      if (reader.format() == TableFormat.CSV) {
        throw new InvalidInputException(
            "table " + input + " is CSV: executors read Parquet and JSON, so convert it");
      }
      Dataset<Row> records =
          spark
              .read()
              .schema(reader.schema())
              .format(reader.format().name().toLowerCase(Locale.ROOT))
              .load(input.toString());
      return encryptOnCluster(records, input.toString(), state, blocks, keys);
    }
  }

  private static long total(List<long[]> parts, int number) {
    return parts.stream().mapToLong(part -> part[number]).sum();
  }

  /** What a task said, of what Spark says of the job. */
  private static RuntimeException explain(Throwable error, String table) {
    return InvalidInputException.in(error)
        .orElseGet(
            () ->
                new InvalidInputException(
                    "table "
                        + table
                        + " cannot be encrypted on the cluster: "
                        + CauseLine.of(error),
                    error));
  }

  /**
   * Decrypts a round's results, takes the records to the next round and writes its blocks; behind
   * the last round writes the scored table instead, as {@link HybridSession#score} does.
   *
   * @param state that {@link #encrypt} made
   * @param results a table with the results of all blocks of the round; it may hold others too
   * @param blocks a table to which blocks are added; needed if a round is left
   * @param output the scored table; needed if no round is left
   * @param overwrite whether a table that is there is replaced
   * @throws InvalidInputException if the state or a result is of another key or model, damaged or
   *     missing, or something cannot be written
   */
  public synchronized RoundReport decrypt(
      java.nio.file.Path state,
      Path results,
      Optional<Path> blocks,
      Optional<Path> output,
      boolean overwrite,
      ScoreProgress progress) {
    return decrypt(state, results, blocks, output, overwrite, LostResults.FAIL, progress);
  }

  /**
   * The same.
   *
   * @param lost what becomes of blocks whose results are missing or damaged
   * @throws InvalidInputException as the other; with {@link LostResults#NULL} for a missing or
   *     damaged result only if the round has no other
   */
  public synchronized RoundReport decrypt(
      java.nio.file.Path state,
      Path results,
      Optional<Path> blocks,
      Optional<Path> output,
      boolean overwrite,
      LostResults lost,
      ScoreProgress progress) {
    ExchangeState opened = open(state);
    int round = round(opened);
    boolean isLast = round + 1 == steps.rounds();
    Optional<Path> needed = isLast ? output : blocks;
    if (needed.isEmpty()) {
      throw new InvalidInputException(
          "state "
              + state
              + ": round "
              + (round + 1)
              + " of "
              + steps.rounds()
              + " ends with "
              + (isLast
                  ? "the scored table: say where to write it"
                  : "the blocks of the next round: say where to write them"));
    }
    ResultTable found = ResultTable.open(spark, results);
    requireResults(found, inRound(opened, round), results, lost);
    ExchangeSteps.Results all = new ExchangeSteps.Results(found, Duration.ZERO, lost);
    return step(
        opened,
        progress,
        () ->
            isLast
                ? score(opened, all, needed.get(), overwrite, progress)
                : nextRound(opened, round, all, needed.get(), progress));
  }

  private ExchangeState open(java.nio.file.Path state) {
    ExchangeState opened = openAny(state);
    if (opened.entry().grouping() != null) {
      throw new InvalidInputException(
          "state "
              + state
              + ": its records are in groups, of which sums alone are told: decrypt with"
              + " --aggregate");
    }
    return opened;
  }

  private ExchangeState openAny(java.nio.file.Path state) {
    ExchangeState opened = ExchangeState.read(state);
    opened.requireClient(model.client().id());
    opened.requireKey(key.id());
    if (opened.entry().round() == steps.rounds()) {
      throw new InvalidInputException(
          "state " + state + ": these records are scored already; encrypt others");
    }
    return opened;
  }

  /** The round whose results come next, of the part that is least far. */
  private static int round(ExchangeState state) {
    return state.parts().stream().mapToInt(part -> part.entry().round()).min().orElseThrow();
  }

  /** The parts in a round; a call that was killed may have taken others further. */
  private static List<ExchangeState> inRound(ExchangeState state, int round) {
    return state.parts().stream().filter(part -> part.entry().round() == round).toList();
  }

  /**
   * Scores a table with somebody at the other end of a folder who evaluates blocks as they appear
   * ({@link org.fhespark.jobs.server.EvaluationJob#watch}): all steps in turn, each wave going on
   * as soon as its results are there. What a call before has left in the state is taken up again.
   *
   * @param input as of {@link #encrypt}
   * @param state as of {@link #encrypt}, or what a call with the same input left
   * @param blocks a table to which blocks are added
   * @param results the table to which the other side adds their results
   * @param patience how long no result at all may come
   * @param output as of {@link #decrypt}
   * @throws InvalidInputException as {@link #encrypt} and {@link #decrypt}, and if patience ends
   */
  public synchronized RoundReport exchange(
      Path input,
      java.nio.file.Path state,
      Path blocks,
      Path results,
      Duration patience,
      Path output,
      boolean overwrite,
      ScoreProgress progress) {
    long start = System.nanoTime();
    if (!ExchangeState.isBegun(state)) {
      encrypt(input, state, blocks, progress);
    }
    ExchangeState opened = open(state);
    if (!opened.entry().table().equals(input.toString())) {
      throw new InvalidInputException(
          "state "
              + state
              + " is of the records "
              + opened.entry().table()
              + ": give these as input, or another state");
    }
    ExchangeSteps.Results toCome =
        new ExchangeSteps.Results(
            ResultTable.openToCome(spark, results), patience, LostResults.FAIL);
    for (int round = round(opened); round + 1 < steps.rounds(); round = round(opened)) {
      ExchangeState before = opened;
      int going = round;
      step(before, progress, () -> nextRound(before, going, toCome, blocks, progress));
      opened = open(state);
    }
    ExchangeState last = opened;
    step(last, progress, () -> score(last, toCome, output, overwrite, progress));
    return scored(last.entry().records(), 0, start);
  }

  /**
   * Encrypts the groups of a table, for aggregates of the model's outputs: each has blocks of its
   * own, whose results are added before anybody decrypts them ({@link
   * org.fhespark.jobs.server.EvaluationJob#sum}). A group's value stays in the state, the blocks
   * have numbers. No record is kept.
   *
   * @param input as of {@link HybridSession#score}; it is read twice, or more often if its groups
   *     are many
   * @param groupBy column of plain values that tells a record's group; null is one, too
   * @param state as of {@link #encrypt}
   * @param blocks as of {@link #encrypt}, but of groups alone
   * @throws InvalidInputException as {@link #encrypt}, and if sums of results are not what the
   *     model's outputs add up to, or a group has more records than may be added
   */
  public synchronized GroupReport encryptGroups(
      Path input, String groupBy, java.nio.file.Path state, Path blocks, ScoreProgress progress) {
    return encryptGroups(input, groupBy, state, blocks, GroupSteps.WAITING_BYTES, progress);
  }

  synchronized GroupReport encryptGroups(
      Path input,
      String groupBy,
      java.nio.file.Path state,
      Path blocks,
      long waitingBytes,
      ScoreProgress progress) {
    return new GroupExchange(spark, model.specs().inputs(), steps.groups())
        .encrypt(input, groupBy, state, blocks, waitingBytes, progress);
  }

  /**
   * Decrypts the sums of groups and writes a table of their aggregates, a row a group: its value,
   * how many records it has, and for each of the model's outputs an array of doubles.
   *
   * @param state that {@link #encryptGroups} made
   * @param results a table with the sums of all groups; it may hold others too
   * @param output the table of aggregates
   * @param overwrite whether a table that is there is replaced
   * @throws InvalidInputException as {@link #decrypt}
   */
  public synchronized GroupReport decryptGroups(
      java.nio.file.Path state,
      Path results,
      Aggregate aggregate,
      Path output,
      boolean overwrite,
      ScoreProgress progress) {
    ExchangeState opened = openAny(state);
    if (opened.entry().grouping() == null) {
      throw new InvalidInputException(
          "state "
              + state
              + ": its records are in no groups; encrypt them with --group-by, or decrypt without"
              + " --aggregate");
    }
    GroupReport report =
        new GroupExchange(spark, model.specs().inputs(), steps.groups())
            .decrypt(opened, results, aggregate, output, overwrite, progress);
    opened.enter(opened.entry().done(steps.rounds()));
    opened.deleteRecords();
    return report;
  }

  private static RoundReport step(
      ExchangeState state, ScoreProgress progress, Supplier<RoundReport> work) {
    progress.started(state.entry().records());
    try {
      return work.get();
    } finally {
      progress.ended();
    }
  }

  /** That the results of a round are there: all of them, or any at all. */
  private void requireResults(
      ResultTable found, List<ExchangeState> parts, Path results, LostResults lost) {
    List<Long> missing = new ArrayList<>();
    long blocks = 0;
    for (ExchangeState part : parts) {
      ExchangeState.Entry entry = part.entry();
      found.forEachMissing(entry.firstBlock(), entry.blocks(), missing::add);
      blocks += entry.blocks();
    }
    if (missing.isEmpty() || (lost == LostResults.NULL && missing.size() < blocks)) {
      return;
    }
    List<Long> named = missing.subList(0, Math.min(MOST_NAMED, missing.size()));
    Map<Long, String> refused = found.refused(named);
    String names =
        named.stream()
            .map(
                number ->
                    refused.containsKey(number)
                        ? number + " (could not be evaluated, " + refused.get(number) + ")"
                        : number.toString())
            .collect(Collectors.joining(", "));
    throw new InvalidInputException(
        "results "
            + results
            + ": lacks "
            + missing.size()
            + " of the "
            + blocks
            + " blocks of round "
            + (parts.get(0).entry().round() + 1)
            + ", number "
            + names
            + (named.size() < missing.size() ? " and others" : "")
            + ": evaluate that round's blocks to the end, and give their results"
            + (missing.size() < blocks
                ? "; or decrypt with --lost null, which leaves their records without outputs"
                : ""));
  }

  private RoundReport nextRound(
      ExchangeState state,
      int round,
      ExchangeSteps.Results results,
      Path blocks,
      ScoreProgress progress) {
    long start = System.nanoTime();
    BlockTableWriter writer = new BlockTableWriter(spark, blocks);
    for (ExchangeState part : inRound(state, round)) {
      part.enter(steps.nextRound(part, results, writer, progress));
    }
    return report(state.entry().records(), round + 1, writer, results.lostRecords().get(), start);
  }

  private RoundReport score(
      ExchangeState state,
      ExchangeSteps.Results results,
      Path output,
      boolean overwrite,
      ScoreProgress progress) {
    long start = System.nanoTime();
    ExchangeState.Entry entry = state.entry();
    List<ExchangeState> parts = state.parts();
    OutputColumns columns =
        new OutputColumns(schema(parts.get(0)), model.specs().outputs(), entry.table());
    TableFormat format = TableFormat.ofFileName(output.getName()).orElse(TableFormat.PARQUET);
    try (TableWriter writer =
        TableWriter.create(spark, output, columns.schema(), format, overwrite)) {
      ScoredRows scored = new ScoredRows(model.specs().outputs(), columns);
      for (ExchangeState part : parts) {
        try (TableReader records = TableReader.open(spark, part.records())) {
          steps.score(
              part,
              results,
              records.rows(),
              batches -> scored.emit(batches, writer::write),
              progress);
        }
      }
      writer.commit();
    }
    state.enter(entry.done(steps.rounds()));
    state.deleteRecords();
    return scored(entry.records(), results.lostRecords().get(), start);
  }

  private StructType schema(ExchangeState state) {
    try (TableReader records = TableReader.open(spark, state.records())) {
      return records.schema();
    }
  }

  /**
   * @param round whose blocks were written, from 0
   */
  private RoundReport report(
      long records, int round, BlockTableWriter blocks, long lost, long start) {
    return new RoundReport(
        records,
        round + 1,
        steps.rounds(),
        blocks.blocks(),
        blocks.bytes(),
        lost,
        steps.clampedRows(),
        seconds(start));
  }

  private RoundReport scored(long records, long lost, long start) {
    return new RoundReport(
        records,
        steps.rounds() + 1,
        steps.rounds(),
        0,
        0,
        lost,
        steps.clampedRows(),
        seconds(start));
  }

  private static double seconds(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  /** Releases threads and segments; the key and the Spark session stay open. */
  @Override
  public synchronized void close() {
    steps.close();
  }
}
