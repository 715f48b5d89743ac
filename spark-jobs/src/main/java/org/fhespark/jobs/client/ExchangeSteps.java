package org.fhespark.jobs.client;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.jobs.blocks.BlockTableWriter;
import org.fhespark.jobs.blocks.ResultTable;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.metrics.ClientMetrics;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.udf.EncryptedBlock;

/**
 * What takes a client's records from one round to the next: the clear parts of the model,
 * encryption and decryption, waves of records between memory and a state. It needs no Spark
 * session, so it may run on a driver or in a task of a cluster that the client trusts.
 */
final class ExchangeSteps implements AutoCloseable {
  /** Bytes of blocks and results in memory at a time, of each wave in flight. */
  private static final long WAVE_BYTES = ExecutorBlockEvaluator.JOB_BYTES;

  private final HybridModel model;
  private final ClientKey key;
  private final int parallelism;
  private final ClientThreads threads;
  private final Measurements measurements = new Measurements();
  private final Resources resources = new Resources();
  private final List<RemoteLayer> layers;
  private final Rounds rounds;
  private final RowDecryption decryption;

  /**
   * @param parallelism blocks that a wave shall have at least, where there are records enough
   * @param cores of the client's arithmetic
   * @param outOfRange what becomes of records that a leveled circuit is not made for
   */
  ExchangeSteps(
      HybridModel model, ClientKey key, int parallelism, int cores, OutOfRange outOfRange) {
    this.model = model;
    this.key = key;
    this.parallelism = parallelism;
    this.threads = new ClientThreads(cores);
    this.decryption = new RowDecryption(measurements);
    try {
      this.layers = RemoteLayer.open(model.specs(), Optional.of(key), outOfRange, resources);
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

  /** Rows that were encrypted after they were drawn into the range of their circuit. */
  long clampedRows() {
    return measurements.clampedRows.sum();
  }

  /** Rounds of the model. */
  int rounds() {
    return rounds.count();
  }

  /**
   * The same parts of the model for groups of records, of which sums are told.
   *
   * @throws InvalidInputException as {@link GroupSteps}
   */
  GroupSteps groups() {
    return new GroupSteps(model, key.id(), layers, rounds, threads, measurements, tokenBytes());
  }

  /**
   * A table of results.
   *
   * @param patience how long its next may take
   * @param lost what becomes of those that do not come
   * @param lostRecords counts the records without results, of all waves
   */
  record Results(ResultTable table, Duration patience, LostResults lost, AtomicLong lostRecords) {
    Results(ResultTable table, Duration patience, LostResults lost) {
      this(table, patience, lost, new AtomicLong());
    }

    void count(Wave wave) {
      wave.batches().forEach(batch -> lostRecords.addAndGet(batch.lost().cardinality()));
    }
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

  /** A wave between rounds. */
  private record Wave(int number, List<Batch> batches, List<SentRows> sent) {}

  /**
   * Takes records to the first round.
   *
   * @param rows the records
   * @param table what their table is called
   * @param records gets each record again, in order, once its blocks are written
   * @return what the state now says
   */
  ExchangeState.Entry encrypt(
      Iterator<Row> rows,
      InputBinding binding,
      String table,
      ExchangeState state,
      BlockTableWriter blocks,
      Consumer<Row> records,
      ScoreProgress progress) {
    BatchSizes sizes = new BatchSizes(layers, binding.specs(), tokenBytes(), () -> parallelism);
    Iterator<List<Batch>> read = Waves.of(model.specs(), rows, binding, sizes, measurements);
    Sending sending = new Sending(state, 0, blocks);
    int[] waves = {0};
    long[] count = {0};
    new WavePipeline<Wave>(sending::send, () -> {})
        .run(
            numbered(read, waves),
            wave -> {
              wave.batches().forEach(sizes::observe);
              List<Row> inOrder = rowsOf(wave);
              inOrder.forEach(records);
              count[0] += inOrder.size();
              finish(wave, progress);
            });
    return sending.end(table, count[0], waves[0]);
  }

  /**
   * Decrypts the results of a state's round and takes its records to the next.
   *
   * @return what the state is to say once all is durable
   */
  ExchangeState.Entry nextRound(
      ExchangeState state, Results results, BlockTableWriter blocks, ScoreProgress progress) {
    ExchangeState.Entry entry = state.entry();
    Sending sending = new Sending(state, entry.round() + 1, blocks);
    new WavePipeline<Wave>(
            wave -> {
              decrypt(wave, results);
              sending.send(wave);
            },
            results.table()::cancel)
        .run(
            savedWaves(state, Optional.empty()),
            wave -> {
              results.count(wave);
              finish(wave, progress);
            });
    return sending.end(entry.table(), entry.records(), entry.waves());
  }

  /**
   * Decrypts the results of a state's last round and takes its records to the model's end.
   *
   * @param records of the state, as they came
   * @param scored gets batches in the order of their waves
   */
  void score(
      ExchangeState state,
      Results results,
      Iterator<Row> records,
      Consumer<List<Batch>> scored,
      ScoreProgress progress) {
    new WavePipeline<Wave>(
            wave -> {
              decrypt(wave, results);
              rounds.runClear(rounds.count(), wave.batches());
            },
            results.table()::cancel)
        .run(
            savedWaves(state, Optional.of(records)),
            wave -> {
              scored.accept(wave.batches());
              ClientMetrics.shared()
                  .recordsDone(wave.batches().stream().mapToInt(Batch::records).sum());
              results.count(wave);
              finish(wave, progress);
            });
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
    if (results.lost() == LostResults.NULL) {
      for (SentRows rows : wave.sent()) {
        List<CallOutput> outputs = rows.rows().layer().spec().outputs();
        wave.batches()
            .forEach(batch -> outputs.forEach(output -> batch.clearLost(output.tensor())));
      }
    }
  }

  private void decrypt(List<SentRows> sent, Results results) {
    ResultTable table = results.table();
    List<Long> numbers = sent.stream().map(SentRows::number).toList();
    if (results.lost() == LostResults.FAIL) {
      table.await(numbers, results.patience());
    }
    Map<Long, byte[]> found = table.read(numbers.stream().filter(table::has).toList());
    int cores = threads.coresEach(sent.size());
    threads.forEach(
        sent,
        rows -> {
          byte[] result = found.get(rows.number());
          if (result == null) {
            if (results.lost() == LostResults.FAIL) {
              throw table.gone(rows.number());
            }
            rows.rows().runs().forEach(rows.rows().layer()::lose);
            return;
          }
          try {
            EncryptedBlock block = EncryptedBlock.copyOf(result);
            measurements.blockReceived(block);
            decryption.decrypt(rows, block, cores);
          } catch (InvalidInputException error) {
            if (results.lost() == LostResults.FAIL) {
              throw damaged(rows, table, error);
            }
            rows.rows().runs().forEach(rows.rows().layer()::lose);
          }
        });
  }

  private static InvalidInputException damaged(
      SentRows rows, ResultTable table, InvalidInputException error) {
    return new InvalidInputException(
        "file "
            + table.fileOf(rows.number())
            + ", block number "
            + rows.number()
            + ", "
            + error.getMessage()
            + "; evaluate again into another folder, or decrypt with --lost null",
        error);
  }

  /** Blocks of one round on their way to a table; every wave is saved before its blocks appear. */
  private final class Sending {
    private final ExchangeState state;
    private final int round;
    private final BlockTableWriter blocks;

    private final long firstBlock = BlockNumbers.first();

    private final AtomicLong nextBlock = new AtomicLong(firstBlock);
    private final RowEncryption encryption =
        new RowEncryption(nextBlock::getAndIncrement, threads, measurements);

    Sending(ExchangeState state, int round, BlockTableWriter blocks) {
      this.state = state;
      this.round = round;
      this.blocks = blocks;
    }

    void send(Wave wave) {
      List<SentRows> sent = new ArrayList<>();
      rounds.runClear(round, wave.batches());
      try (BlockTableWriter.File file = blocks.newFile()) {
        RowBlock.inTurn(
            rounds.layers(round),
            wave.batches(),
            WavePipeline.workersOfAWave(parallelism),
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
        measurements.blockSent(block);
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

    /** The round's blocks are all written. */
    ExchangeState.Entry end(String table, long records, int waves) {
      return new ExchangeState.Entry(
          model.client().id(),
          key.id(),
          table,
          records,
          round,
          waves,
          firstBlock,
          nextBlock.get() - firstBlock);
    }
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

  /** Releases threads and segments; the key stays open. */
  @Override
  public void close() {
    try (threads) {
      resources.close();
    }
  }
}
