package org.fhespark.jobs.client;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.blocks.BlockTableWriter;
import org.fhespark.jobs.blocks.ResultTable;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.OutputColumns;
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
            Runtime.getRuntime().availableProcessors());
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
        return report(entry, writer, start);
      } catch (Throwable error) {
        opened.delete();
        throw error;
      } finally {
        progress.ended();
      }
    }
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
    ExchangeState opened = open(state);
    int round = opened.entry().round();
    boolean isLast = isLast(opened);
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
    requireAll(found, opened.entry(), results);
    ExchangeSteps.Results all = new ExchangeSteps.Results(found, Duration.ZERO);
    return step(
        opened,
        progress,
        () ->
            isLast
                ? score(opened, all, needed.get(), overwrite, progress)
                : nextRound(opened, all, needed.get(), progress));
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

  private boolean isLast(ExchangeState state) {
    return state.entry().round() + 1 == steps.rounds();
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
        new ExchangeSteps.Results(ResultTable.openToCome(spark, results), patience);
    while (!isLast(opened)) {
      ExchangeState round = opened;
      step(round, progress, () -> nextRound(round, toCome, blocks, progress));
      opened = open(state);
    }
    ExchangeState last = opened;
    step(last, progress, () -> score(last, toCome, output, overwrite, progress));
    return scored(last.entry().records(), start);
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
    long start = System.nanoTime();
    GroupSteps groups = steps.groups();
    try (TableReader reader = TableReader.open(spark, input)) {
      AggregateColumns columns = AggregateColumns.of(reader, groupBy, groups.outputs());
      GroupSteps.Source source =
          new GroupSteps.Source(
              reader.name(),
              reader::rows,
              () ->
                  InputBinding.bind(
                      columns.features(reader.schema(), model.specs().inputs()),
                      model.specs().inputs(),
                      reader.name()),
              columns.ordinal());
      // Refuses now what could not be read later.
      source.binding().get();
      GroupCounts counts = new GroupCounts();
      reader.rows().forEachRemaining(row -> counts.add(row.get(columns.ordinal())));
      ExchangeState opened = ExchangeState.create(state);
      progress.started(counts.records());
      try (TableWriter told =
          TableWriter.create(
              spark, opened.groups(), columns.groups(), TableFormat.PARQUET, false)) {
        BlockTableWriter writer =
            new BlockTableWriter(BlockTableWriter.groupedFormat(spark), blocks);
        ExchangeState.Entry entry = groups.encrypt(source, counts, writer, waitingBytes, progress);
        for (int group = 0; group < counts.groups(); group++) {
          told.write(RowFactory.create(counts.value(group), counts.records(group)));
        }
        told.commit();
        opened.enter(entry);
        return report(entry, counts, writer.blocks(), writer.bytes(), start);
      } catch (Throwable error) {
        opened.delete();
        throw error;
      } finally {
        progress.ended();
      }
    }
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
    long start = System.nanoTime();
    ExchangeState opened = openAny(state);
    ExchangeState.Entry entry = opened.entry();
    if (entry.grouping() == null) {
      throw new InvalidInputException(
          "state "
              + state
              + ": its records are in no groups; encrypt them with --group-by, or decrypt without"
              + " --aggregate");
    }
    GroupSteps groups = steps.groups();
    GroupCounts counts = new GroupCounts();
    progress.started(entry.records());
    try (TableReader told = TableReader.open(spark, opened.groups())) {
      told.rows().forEachRemaining(row -> counts.add(row.get(0), row.getLong(1)));
      AggregateColumns columns =
          AggregateColumns.of(told, told.schema().fieldNames()[0], groups.outputs());
      TableFormat format = TableFormat.ofFileName(output.getName()).orElse(TableFormat.PARQUET);
      try (TableWriter writer =
          TableWriter.create(spark, output, columns.aggregates(), format, overwrite)) {
        groups.decrypt(
            entry,
            counts,
            ResultTable.open(spark, results),
            results.toString(),
            (group, sums) ->
                writer.write(
                    columns.row(counts.value(group), counts.records(group), sums, aggregate)),
            progress);
        writer.commit();
      }
    } finally {
      progress.ended();
    }
    end(opened);
    return report(entry, counts, 0, 0, start);
  }

  private static GroupReport report(
      ExchangeState.Entry entry, GroupCounts counts, long blocks, long bytes, long start) {
    int blockRows = Collections.max(entry.grouping().blockRows());
    return new GroupReport(
        entry.records(), counts.groups(), blocks, blockRows, bytes, seconds(start));
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

  private void requireAll(ResultTable found, ExchangeState.Entry entry, Path results) {
    List<Long> missing = new ArrayList<>();
    found.forEachMissing(entry.firstBlock(), entry.blocks(), missing::add);
    if (!missing.isEmpty()) {
      throw new InvalidInputException(
          "results "
              + results
              + ": lacks "
              + missing.size()
              + " of the "
              + entry.blocks()
              + " blocks of round "
              + (entry.round() + 1)
              + ", number "
              + missing.get(0)
              + " for one: evaluate that round's blocks to the end, and give their results");
    }
  }

  private RoundReport nextRound(
      ExchangeState state, ExchangeSteps.Results results, Path blocks, ScoreProgress progress) {
    long start = System.nanoTime();
    BlockTableWriter writer = new BlockTableWriter(spark, blocks);
    ExchangeState.Entry next = steps.nextRound(state, results, writer, progress);
    state.enter(next);
    return report(next, writer, start);
  }

  private RoundReport score(
      ExchangeState state,
      ExchangeSteps.Results results,
      Path output,
      boolean overwrite,
      ScoreProgress progress) {
    long start = System.nanoTime();
    ExchangeState.Entry entry = state.entry();
    try (TableReader records = TableReader.open(spark, state.records())) {
      OutputColumns columns =
          new OutputColumns(records.schema(), model.specs().outputs(), entry.table());
      TableFormat format = TableFormat.ofFileName(output.getName()).orElse(TableFormat.PARQUET);
      try (TableWriter writer =
          TableWriter.create(spark, output, columns.schema(), format, overwrite)) {
        ScoredRows scored = new ScoredRows(model.specs().outputs(), columns);
        steps.score(
            state,
            results,
            records.rows(),
            batches -> scored.emit(batches, writer::write),
            progress);
        writer.commit();
      }
    }
    end(state);
    return scored(entry.records(), start);
  }

  /** All is scored: nothing of the records stays in the state. */
  private void end(ExchangeState state) {
    ExchangeState.Entry entry = state.entry();
    state.enter(
        new ExchangeState.Entry(
            entry.client(), entry.key(), entry.table(), entry.records(), steps.rounds(), 0, 0, 0));
    state.deleteRecords();
  }

  private RoundReport report(ExchangeState.Entry entry, BlockTableWriter blocks, long start) {
    return new RoundReport(
        entry.records(),
        entry.round() + 1,
        steps.rounds(),
        blocks.blocks(),
        blocks.bytes(),
        seconds(start));
  }

  private RoundReport scored(long records, long start) {
    return new RoundReport(records, steps.rounds() + 1, steps.rounds(), 0, 0, seconds(start));
  }

  private static double seconds(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  /** Releases threads and segments; the key and the Spark session stay open. */
  @Override
  public void close() {
    steps.close();
  }
}
