package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.ObjIntConsumer;
import java.util.function.Supplier;
import org.apache.spark.sql.Row;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.jobs.blocks.BlockTableWriter;
import org.fhespark.jobs.blocks.ResultTable;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.metrics.ClientMetrics;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.udf.BlockHeader;
import org.fhespark.udf.EncryptedBlock;

/**
 * What takes groups of records to encrypted blocks of their own, and decrypts the sums of their
 * results. Of the records nothing is kept: a sum needs no more than its group's number of records.
 */
final class GroupSteps {
  /** Rows in memory that wait for others of their groups; the table is read again for the rest. */
  static final long WAITING_BYTES = 512L << 20;

  /** Bytes of blocks, or of sums, in memory at a time, and of a file. */
  private static final long FILE_BYTES = 256L << 20;

  private final HybridModel model;
  private final String keyId;
  private final List<RemoteLayer> layers;
  private final Rounds rounds;
  private final ClientThreads threads;
  private final Measurements measurements;
  private final AtomicLong tokenBytes;
  private final List<SummedOutput> outputs;

  /**
   * @param tokenBytes as of {@link BatchSizes}
   * @throws InvalidInputException if sums of results are no sums of the model's outputs
   */
  GroupSteps(
      HybridModel model,
      String keyId,
      List<RemoteLayer> layers,
      Rounds rounds,
      ClientThreads threads,
      Measurements measurements,
      AtomicLong tokenBytes) {
    this.model = model;
    this.keyId = keyId;
    this.layers = layers;
    this.rounds = rounds;
    this.threads = threads;
    this.measurements = measurements;
    this.tokenBytes = tokenBytes;
    this.outputs = SummedOutput.of(model.client());
  }

  /** The model's outputs, in order. */
  List<SummedOutput> outputs() {
    return outputs;
  }

  /**
   * Records that can be read several times.
   *
   * @param name what errors call their table
   * @param rows gives all of them from the first
   * @param binding gives a new binding of the model's inputs
   * @param group column that tells a record's group
   */
  record Source(
      String name, Supplier<Iterator<Row>> rows, Supplier<InputBinding> binding, int group) {}

  /**
   * Encrypts the groups of a table.
   *
   * @param counts of the table's groups
   * @param waitingBytes {@link #WAITING_BYTES}
   * @return what the state is to say
   */
  ExchangeState.Entry encrypt(
      Source source,
      GroupCounts counts,
      BlockTableWriter blocks,
      long waitingBytes,
      ScoreProgress progress) {
    List<Integer> blockRows = new ArrayList<>();
    for (RemoteLayer layer : layers) {
      blockRows.add(GroupBlocks.rowsFor(layer, counts.all()));
    }
    long firstBlock = BlockNumbers.first();
    List<GroupBlocks> layout = layout(counts, blockRows, firstBlock);
    int end;
    for (int first = 0; first < counts.groups(); first = end) {
      end = passEnd(first, counts, blockRows, waitingBytes);
      new Pass(source, counts, layout, first, end, blocks, progress).run();
    }
    return ExchangeState.Entry.ofGroups(
        model.client().id(),
        keyId,
        source.name(),
        counts.records(),
        firstBlock,
        layout.get(layout.size() - 1).end() - firstBlock,
        new ExchangeState.Grouping(blockRows));
  }

  /** The blocks of each call, numbered call by call. */
  private static List<GroupBlocks> layout(
      GroupCounts counts, List<Integer> blockRows, long firstBlock) {
    List<GroupBlocks> layout = new ArrayList<>();
    long next = firstBlock;
    for (int rows : blockRows) {
      GroupBlocks blocks = new GroupBlocks(counts.all(), rows, next);
      next = blocks.end();
      layout.add(blocks);
    }
    return layout;
  }

  /** The group behind those whose rows may wait in memory together with a first one's. */
  private int passEnd(int first, GroupCounts counts, List<Integer> blockRows, long waitingBytes) {
    long bytes = 0;
    for (int group = first; group < counts.groups(); group++) {
      for (int call = 0; call < layers.size(); call++) {
        long waiting = Math.min(counts.records(group), blockRows.get(call));
        bytes += waiting * layers.get(call).spec().dIn() * Float.BYTES;
      }
      if (bytes > waitingBytes && group > first) {
        return group;
      }
    }
    return counts.groups();
  }

  /** Rows of a group that have a block of their own. */
  private record Filled(int call, int group, long number, List<float[]> rows) {}

  /** Reads the table and encrypts some of its groups. */
  private final class Pass {
    private final Source source;
    private final GroupCounts counts;
    private final List<GroupBlocks> layout;
    private final int first;
    private final int end;
    private final BlockTableWriter blocks;
    private final ScoreProgress progress;

    /** Of each call and group of the pass, the rows that wait for more. */
    private final List<List<List<float[]>>> waiting = new ArrayList<>();

    /** Of each call and group of the pass, the rows that have come. */
    private final long[][] seen;

    private BlockTableWriter.File file;

    Pass(
        Source source,
        GroupCounts counts,
        List<GroupBlocks> layout,
        int first,
        int end,
        BlockTableWriter blocks,
        ScoreProgress progress) {
      this.source = source;
      this.counts = counts;
      this.layout = layout;
      this.first = first;
      this.end = end;
      this.blocks = blocks;
      this.progress = progress;
      this.seen = new long[layers.size()][end - first];
      for (int call = 0; call < layers.size(); call++) {
        List<List<float[]>> rows = new ArrayList<>();
        for (int group = first; group < end; group++) {
          rows.add(new ArrayList<>());
        }
        waiting.add(rows);
      }
    }

    void run() {
      InputBinding binding = source.binding().get();
      BatchSizes sizes = new BatchSizes(layers, binding.specs(), tokenBytes, threads::cores);
      Iterator<List<Batch>> waves =
          Waves.of(model.specs(), source.rows().get(), binding, sizes, measurements);
      file = blocks.newFile();
      try {
        while (waves.hasNext()) {
          take(waves.next(), sizes);
        }
        for (int group = first; group < end; group++) {
          if (seen[0][group - first] != counts.records(group)) {
            throw changed();
          }
        }
        file.publish();
      } finally {
        file.close();
      }
    }

    private InvalidInputException changed() {
      return new InvalidInputException(
          "table " + source.name() + " was changed while it was read; encrypt it again");
    }

    private void take(List<Batch> wave, BatchSizes sizes) {
      try {
        rounds.runClear(0, wave);
        wave.forEach(sizes::observe);
        for (int call = 0; call < layers.size(); call++) {
          List<Filled> filled = new ArrayList<>();
          for (Batch batch : wave) {
            take(call, batch, filled);
          }
          send(filled);
        }
      } finally {
        wave.forEach(Batch::release);
      }
    }

    private void take(int call, Batch batch, List<Filled> filled) {
      RemoteLayer layer = layers.get(call);
      Tensor input = layer.inputOf(batch);
      if (input.shape().length != 2) {
        throw new InvalidInputException(
            "module "
                + layer.name()
                + ": it makes rows of the input of shape "
                + Arrays.toString(input.shape())
                + ", not one of each record, and sums are of rows; keep it in clear");
      }
      FloatBuffer values = input.data().asFloatBuffer();
      int taken = 0;
      for (int record = 0; record < batch.records(); record++) {
        OptionalInt group = counts.number(batch.rows().get(record).get(source.group()));
        if (group.isEmpty()) {
          throw changed();
        }
        if (group.getAsInt() >= first && group.getAsInt() < end) {
          float[] row = new float[layer.spec().dIn()];
          values.get(record * row.length, row);
          requireFinite(layer, row, batch.recordNumber(record));
          add(call, group.getAsInt(), row, filled);
          taken++;
        }
      }
      if (call == 0) {
        progress.recordsDone(taken);
      }
    }

    private void add(int call, int group, float[] row, List<Filled> filled) {
      GroupBlocks numbers = layout.get(call);
      List<float[]> rows = waiting.get(call).get(group - first);
      rows.add(row);
      long rowsSeen = ++seen[call][group - first];
      if (rowsSeen > counts.records(group)) {
        throw changed();
      }
      if (rows.size() == numbers.rows() || rowsSeen == counts.records(group)) {
        long before = (rowsSeen - 1) / numbers.rows();
        filled.add(new Filled(call, group, numbers.first(group) + before, rows));
        waiting.get(call).set(group - first, new ArrayList<>());
      }
    }

    /** Encrypts blocks side by side, some at a time, and writes them in turn. */
    private void send(List<Filled> filled) {
      int each = threads.cores();
      for (int from = 0; from < filled.size(); from += each) {
        List<Filled> together = filled.subList(from, Math.min(filled.size(), from + each));
        EncryptedBlock[] encrypted = new EncryptedBlock[together.size()];
        int cores = threads.coresEach(together.size());
        try {
          forEach(together, (one, index) -> encrypted[index] = encrypt(one, cores));
          for (int index = 0; index < encrypted.length; index++) {
            write(together.get(index), encrypted[index]);
          }
        } finally {
          for (EncryptedBlock block : encrypted) {
            if (block != null) {
              block.close();
            }
          }
        }
      }
    }

    private EncryptedBlock encrypt(Filled filled, int cores) {
      RemoteLayer layer = layers.get(filled.call());
      int rows = layout.get(filled.call()).rows();
      int width = layer.spec().dIn();
      ModuleClient client = layer.client();
      // What the group does not fill is zero, which adds zero.
      Tensor table = Tensor.pooled(ElementType.FLOAT, rows, width).clear();
      try (var unused = measurements.time(Step.ENCRYPT)) {
        FloatBuffer values = table.data().asFloatBuffer();
        filled.rows().forEach(values::put);
        EncryptedBlock block = EncryptedBlock.allocate(client.blockBytes(rows));
        client.encrypt(
            InputRows.ofTable(table.data(), rows),
            new float[rows],
            filled.number(),
            cores,
            block.bytes());
        return block;
      } finally {
        table.release();
      }
    }

    private void write(Filled filled, EncryptedBlock block) {
      RemoteLayer layer = layers.get(filled.call());
      GroupBlocks numbers = layout.get(filled.call());
      ClientMetrics.shared().blockSent(block.length());
      file.write(
          layer.spec().circuitDigest(),
          layer.name(),
          keyId,
          filled.number(),
          numbers.rows(),
          block,
          numbers.first(filled.group()),
          numbers.count(filled.group()));
      if (file.bytes() > FILE_BYTES) {
        file.publish();
        file.close();
        file = blocks.newFile();
      }
    }
  }

  private static void requireFinite(RemoteLayer layer, float[] row, long record) {
    for (float value : row) {
      if (!Float.isFinite(value)) {
        throw new InvalidInputException(
            "module "
                + layer.name()
                + ", tensor "
                + layer.spec().input()
                + ", record "
                + (record + 1)
                + ": a value that reaches the module is NaN or infinite; correct or drop the record");
      }
    }
  }

  private <T> void forEach(List<T> all, ObjIntConsumer<T> work) {
    List<Integer> indices = new ArrayList<>();
    for (int index = 0; index < all.size(); index++) {
      indices.add(index);
    }
    threads.forEach(indices, index -> work.accept(all.get(index), index));
  }

  /** Takes the sums of a group's outputs, {@code [output][column]}. */
  @FunctionalInterface
  interface Sums {
    void accept(int group, double[][] sums);
  }

  /**
   * Decrypts the sums of all groups, in order.
   *
   * @param entry of the state
   * @param counts of its groups
   * @param folder what errors call the results
   * @throws InvalidInputException if a sum is missing, or is of other blocks than the group's
   */
  void decrypt(
      ExchangeState.Entry entry,
      GroupCounts counts,
      ResultTable results,
      String folder,
      Sums sums,
      ScoreProgress progress) {
    List<GroupBlocks> layout = layout(counts, entry.grouping().blockRows(), entry.firstBlock());
    requireAll(layout, counts, results, folder);
    long bytes = 0;
    for (int call = 0; call < layers.size(); call++) {
      bytes += layers.get(call).cipher().bytesDown(layout.get(call).rows());
    }
    int each = (int) Math.max(1, Math.min(counts.groups(), FILE_BYTES / bytes));
    for (int from = 0; from < counts.groups(); from += each) {
      int end = Math.min(counts.groups(), from + each);
      // Of each call, the groups' accumulators.
      List<long[][]> totals = new ArrayList<>();
      for (int call = 0; call < layers.size(); call++) {
        totals.add(totals(call, layout.get(call), from, end, results));
      }
      for (int group = from; group < end; group++) {
        double[][] values = new double[outputs.size()][];
        for (int output = 0; output < values.length; output++) {
          SummedOutput summed = outputs.get(output);
          long[] of = totals.get(summed.call())[group - from];
          values[output] = values(summed, of, counts.records(group));
        }
        sums.accept(group, values);
        progress.recordsDone(Math.toIntExact(counts.records(group)));
        ClientMetrics.shared().recordsDone(counts.records(group));
      }
    }
  }

  private static void requireAll(
      List<GroupBlocks> layout, GroupCounts counts, ResultTable results, String folder) {
    int missing = 0;
    for (GroupBlocks blocks : layout) {
      for (int group = 0; group < counts.groups(); group++) {
        missing += results.has(blocks.first(group)) ? 0 : 1;
      }
    }
    if (missing > 0) {
      throw new InvalidInputException(
          "results "
              + folder
              + ": lacks "
              + missing
              + " of the "
              + counts.groups() * layout.size()
              + " sums of these groups: evaluate their blocks with --sum, and give what it wrote");
    }
  }

  /** The accumulators of some groups, added over all rows, {@code [group][dOut]}. */
  private long[][] totals(int call, GroupBlocks blocks, int from, int end, ResultTable results) {
    List<Long> numbers = new ArrayList<>();
    for (int group = from; group < end; group++) {
      numbers.add(blocks.first(group));
    }
    Map<Long, byte[]> found = results.read(numbers);
    long[][] totals = new long[end - from][];
    forEach(
        numbers,
        (number, index) -> {
          byte[] sum = found.get(number);
          if (sum == null) {
            throw results.gone(number);
          }
          try {
            totals[index] = total(call, blocks, from + index, sum);
          } catch (InvalidInputException error) {
            throw new InvalidInputException(
                "module "
                    + layers.get(call).name()
                    + ", group "
                    + number
                    + ": the sum cannot be used: "
                    + error.getMessage(),
                error);
          }
        });
    return totals;
  }

  private long[] total(int call, GroupBlocks blocks, int group, byte[] sum) {
    ClientMetrics.shared().blockReceived(sum.length);
    BlockHeader header = BlockHeader.of(ByteBuffer.wrap(sum));
    if (!header.kind().equals(BlockHeader.SUMS_KIND)) {
      throw new InvalidInputException(
          "it holds " + header.kind() + ", no sums; evaluate the blocks with --sum");
    }
    if (header.summands() != blocks.count(group)
        || header.number() != blocks.numberOfSum(group)
        || header.records() != blocks.rows()) {
      throw new InvalidInputException(
          "it is the sum of other blocks than the "
              + blocks.count(group)
              + " of the group; evaluate them again with --sum, to another folder");
    }
    RemoteCallSpec spec = layers.get(call).spec();
    long[] total = new long[spec.dOut()];
    try (var unused = measurements.time(Step.DECRYPT)) {
      long[] slots = layers.get(call).client().decryptSumAccumulators(sum);
      for (int at = 0; at < slots.length; at++) {
        total[at % total.length] = Math.addExact(total[at % total.length], slots[at]);
      }
    }
    return total;
  }

  /** Outputs of added accumulators; rows that only fill a block have no part in the bias. */
  private double[] values(SummedOutput output, long[] accumulators, long records) {
    ModuleSpec spec = layers.get(output.call()).client().spec();
    double[] values = new double[output.columns()];
    for (int i = 0; i < values.length; i++) {
      int column = output.first() + i;
      double scale = (double) spec.quantization().staticScale() * spec.weightScales()[column];
      double bias = spec.bias().length == 0 ? 0 : (double) spec.bias()[column] * records;
      values[i] = accumulators[column] * scale + bias;
    }
    return values;
  }
}
