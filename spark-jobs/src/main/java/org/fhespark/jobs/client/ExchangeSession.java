package org.fhespark.jobs.client;

import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.jobs.blocks.BlockTableWriter;
import org.fhespark.jobs.blocks.ResultTable;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.OutputColumns;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.jobs.tables.TableWriter;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.udf.EncryptedBlock;

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
  /** Bytes of blocks and results in memory at a time, of each wave in flight. */
  private static final long WAVE_BYTES = ExecutorBlockEvaluator.JOB_BYTES;

  private static final SecureRandom RANDOM = new SecureRandom();

  private final SparkSession spark;
  private final HybridModel model;
  private final ClientKey key;
  private final ClientThreads threads;
  private final Measurements measurements = new Measurements();
  private final Resources resources = new Resources();
  private final List<RemoteLayer> layers;
  private final Rounds rounds;
  private final RowDecryption decryption;

  private ExchangeSession(SparkSession spark, HybridModel model, ClientKey key) {
    this.spark = spark;
    this.model = model;
    this.key = key;
    this.threads = new ClientThreads(Runtime.getRuntime().availableProcessors());
    this.decryption = new RowDecryption(measurements);
    try {
      this.layers = RemoteLayer.open(model.specs(), Optional.of(key), resources);
      this.rounds =
          new Rounds(
              OnnxSegment.open(model.client(), resources),
              layers,
              model.specs().outputs().stream().map(TensorSpec::name).toList(),
              threads,
              measurements);
    } catch (Throwable error) {
      close();
      throw error;
    }
  }

  static ExchangeSession open(SparkSession spark, HybridModel model, ClientKey key) {
    DeployMode.requireClient(spark);
    return new ExchangeSession(spark, model, key);
  }

  /**
   * What a token's largest tensor may take in any round: waves are formed in the first, and stay as
   * they are. Layers and outputs tell, with room for tensors between them.
   */
  private AtomicLong tokenBytes() {
    long rows = layers.stream().mapToLong(BatchSizes::rowBytes).max().orElse(1);
    long outputs = 1;
    for (TensorSpec output : model.specs().outputs()) {
      long elements =
          output.shape().stream().filter(axis -> axis > 0).reduce(1L, Math::multiplyExact);
      outputs = Math.max(outputs, elements * Tensor.bytesOf(output.type()));
    }
    return new AtomicLong(Math.max(4 * rows, outputs));
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

  /** A wave between rounds. */
  private record Wave(int number, List<Batch> batches, List<SentRows> sent) {}

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
        BatchSizes sizes = new BatchSizes(layers, binding.specs(), tokenBytes(), this::parallelism);
        Iterator<List<Batch>> read =
            Waves.of(model.specs(), reader.rows(), binding, sizes, measurements);
        Sending sending = new Sending(opened, 0, blocks);
        int[] waves = {0};
        new WavePipeline<Wave>(sending::send, () -> {})
            .run(
                numbered(read, waves),
                wave -> {
                  wave.batches().forEach(sizes::observe);
                  rowsOf(wave).forEach(records::write);
                  finish(wave, progress);
                });
        records.commit();
        return sending.end(input.toString(), records.rowCount(), waves[0], start);
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
              + rounds.count()
              + " ends with "
              + (isLast
                  ? "the scored table: say where to write it"
                  : "the blocks of the next round: say where to write them"));
    }
    ResultTable found = ResultTable.open(spark, results);
    requireAll(found, opened.entry(), results);
    Results all = new Results(found, Duration.ZERO);
    return step(
        opened,
        progress,
        () ->
            isLast
                ? score(opened, all, needed.get(), overwrite, progress)
                : nextRound(opened, all, needed.get(), progress));
  }

  private ExchangeState open(java.nio.file.Path state) {
    ExchangeState opened = ExchangeState.read(state);
    opened.requireClient(model.client().id());
    opened.requireKey(key.id());
    if (opened.entry().round() == rounds.count()) {
      throw new InvalidInputException(
          "state " + state + ": these records are scored already; encrypt others");
    }
    return opened;
  }

  private boolean isLast(ExchangeState state) {
    return state.entry().round() + 1 == rounds.count();
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
    Results toCome = new Results(ResultTable.openToCome(spark, results), patience);
    while (!isLast(opened)) {
      ExchangeState round = opened;
      step(round, progress, () -> nextRound(round, toCome, blocks, progress));
      opened = open(state);
    }
    ExchangeState last = opened;
    step(last, progress, () -> score(last, toCome, output, overwrite, progress));
    return report(last.entry().records(), rounds.count(), 0, 0, start);
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

  /** A table of results, and how long its next may take. */
  private record Results(ResultTable table, Duration patience) {}

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
      ExchangeState state, Results results, Path blocks, ScoreProgress progress) {
    long start = System.nanoTime();
    ExchangeState.Entry entry = state.entry();
    Sending sending = new Sending(state, entry.round() + 1, blocks);
    new WavePipeline<Wave>(
            wave -> {
              decrypt(wave, results);
              sending.send(wave);
            },
            results.table()::cancel)
        .run(savedWaves(state, Optional.empty()), wave -> finish(wave, progress));
    return sending.end(entry.table(), entry.records(), entry.waves(), start);
  }

  private RoundReport score(
      ExchangeState state,
      Results results,
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
        new WavePipeline<Wave>(
                wave -> {
                  decrypt(wave, results);
                  rounds.runClear(rounds.count(), wave.batches());
                },
                results.table()::cancel)
            .run(
                savedWaves(state, Optional.of(records.rows())),
                wave -> {
                  scored.emit(wave.batches(), writer::write);
                  finish(wave, progress);
                });
        writer.commit();
      }
    }
    state.enter(
        new ExchangeState.Entry(
            entry.client(), entry.key(), entry.table(), entry.records(), rounds.count(), 0, 0, 0));
    state.deleteRecords();
    return report(entry.records(), rounds.count(), 0, 0, start);
  }

  /**
   * @param count counts them
   */
  private static Iterator<Wave> numbered(Iterator<List<Batch>> waves, int[] count) {
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return waves.hasNext();
      }

      @Override
      public Wave next() {
        return new Wave(count[0]++, waves.next(), List.of());
      }
    };
  }

  private Iterator<Wave> savedWaves(ExchangeState state, Optional<Iterator<Row>> records) {
    int round = state.entry().round();
    return IntStream.range(0, state.entry().waves())
        .mapToObj(
            number -> {
              SavedWave.Opened wave =
                  SavedWave.read(state.wave(round, number), rounds.layers(round), records);
              return new Wave(number, wave.batches(), wave.sent());
            })
        .iterator();
  }

  /** Decrypts the results of a wave's blocks, as many at a time as may lie in memory. */
  private void decrypt(Wave wave, Results results) {
    List<SentRows> together = new ArrayList<>();
    long bytes = 0;
    for (SentRows rows : wave.sent()) {
      if (!together.isEmpty() && bytes + rows.rows().bytes() > WAVE_BYTES) {
        decrypt(together, results);
        together.clear();
        bytes = 0;
      }
      together.add(rows);
      bytes += rows.rows().bytes();
    }
    if (!together.isEmpty()) {
      decrypt(together, results);
    }
  }

  private void decrypt(List<SentRows> sent, Results results) {
    List<Long> numbers = sent.stream().map(SentRows::number).toList();
    results.table().await(numbers, results.patience());
    Map<Long, byte[]> found = results.table().read(numbers);
    int cores = threads.coresEach(sent.size());
    threads.forEach(
        sent,
        rows -> decryption.decrypt(rows, EncryptedBlock.copyOf(found.get(rows.number())), cores));
  }

  /** Blocks of one round on their way to a table; every wave is saved before its blocks appear. */
  private final class Sending {
    private final ExchangeState state;
    private final int round;
    private final BlockTableWriter blocks;

    /** Drawn anew each time, so that no block is taken for one of another table or attempt. */
    private final long firstBlock = RANDOM.nextLong() >>> 2;

    private final AtomicLong nextBlock = new AtomicLong(firstBlock);
    private final RowEncryption encryption =
        new RowEncryption(nextBlock::getAndIncrement, threads, measurements);

    Sending(ExchangeState state, int round, Path blocks) {
      this.state = state;
      this.round = round;
      this.blocks = new BlockTableWriter(spark, blocks);
    }

    void send(Wave wave) {
      List<SentRows> sent = new ArrayList<>();
      rounds.runClear(round, wave.batches());
      try (BlockTableWriter.File file = blocks.newFile()) {
        RowBlock.inTurn(
            rounds.layers(round),
            wave.batches(),
            WavePipeline.workersOfAWave(parallelism()),
            WAVE_BYTES,
            rows -> {
              for (SentBlock one : encryption.encrypt(rows)) {
                write(one, file);
                sent.add(one.rows());
              }
            });
        SavedWave.write(
            state.wave(round, wave.number()), rounds.layers(round), wave.batches(), sent);
        file.publish();
      }
    }

    private void write(SentBlock sent, BlockTableWriter.File file) {
      try (EncryptedBlock block = sent.block()) {
        SentRows rows = sent.rows();
        RemoteLayer layer = rows.rows().layer();
        file.write(
            layer.spec().circuitDigest(),
            layer.name(),
            key.id(),
            rows.number(),
            rows.scales().length,
            block);
      }
    }

    RoundReport end(String table, long records, int waves, long start) {
      state.enter(
          new ExchangeState.Entry(
              model.client().id(),
              key.id(),
              table,
              records,
              round,
              waves,
              firstBlock,
              nextBlock.get() - firstBlock));
      return report(records, round, blocks.blocks(), blocks.bytes(), start);
    }
  }

  private RoundReport report(long records, int round, long blocks, long bytes, long start) {
    return new RoundReport(
        records, round + 1, rounds.count(), blocks, bytes, (System.nanoTime() - start) / 1e9);
  }

  private int parallelism() {
    return Math.max(1, spark.sparkContext().defaultParallelism());
  }

  private static void finish(Wave wave, ScoreProgress progress) {
    progress.recordsDone(wave.batches().stream().mapToInt(Batch::records).sum());
    wave.batches().forEach(Batch::release);
  }

  /** The rows of a wave in the order in which they came. */
  private static List<Row> rowsOf(Wave wave) {
    Map<Long, Row> rows = new TreeMap<>();
    for (Batch batch : wave.batches()) {
      for (int record = 0; record < batch.records(); record++) {
        rows.put(batch.recordNumber(record), batch.rows().get(record));
      }
    }
    return List.copyOf(rows.values());
  }

  /** Releases threads and segments; the key and the Spark session stay open. */
  @Override
  public void close() {
    try (threads) {
      resources.close();
    }
  }
}
