package org.fhespark.jobs.client;

import ai.onnxruntime.OnnxJavaType;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.LongStream;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.parameters.BlockLimits;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.LeveledClient;
import org.fhespark.nativelib.LeveledClientSpec;
import org.fhespark.nativelib.LookupClient;
import org.fhespark.nativelib.LookupResultsSpec;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.OutputRows;
import org.fhespark.nativelib.PackedParameters;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One call of remote modules in the schedule: what its rows are made of, and where their results
 * go.
 */
final class RemoteLayer {
  private static final Logger LOG = LoggerFactory.getLogger(RemoteLayer.class);

  /** Results are held to about this size, which the mask rows may exceed by themselves. */
  private static final long RESULT_BYTES = 128L << 20;

  /**
   * Blocks of circuits with look-ups are cut to about so many: some seconds of one core. Their mask
   * costs little beside, and what a lost task costs, or the last one alone on its core, is less.
   */
  private static final int BLOCK_LOOKUPS = 512;

  private final RemoteCallSpec spec;
  private final Optional<Convolution> convolution;
  private final Optional<PaddingMask> mask;

  /** Null if the circuit is leveled. */
  private final ModuleClient client;

  private final Optional<LookupClient> lookups;
  private final Optional<LeveledClient> leveled;
  private final OutOfRange outOfRange;
  private final PreparedMasks preparedMasks = new PreparedMasks();
  private final AtomicBoolean hasWarned = new AtomicBoolean();

  /**
   * @param mask the model's padding mask, if it has one
   * @param client quantisation, and with a key encryption
   */
  RemoteLayer(RemoteCallSpec spec, Optional<PaddingMask> mask, ModuleClient client) {
    this(spec, mask, client, Optional.empty());
  }

  /**
   * @param lookups of a circuit with look-ups: what reads its results
   */
  RemoteLayer(
      RemoteCallSpec spec,
      Optional<PaddingMask> mask,
      ModuleClient client,
      Optional<LookupClient> lookups) {
    this(spec, mask, client, lookups, Optional.empty(), OutOfRange.CLAMP);
  }

  /**
   * @param client null if the circuit is leveled
   * @param lookups of a circuit with look-ups: what reads its results
   * @param leveled of a leveled circuit: what encrypts for it and reads its results
   */
  private RemoteLayer(
      RemoteCallSpec spec,
      Optional<PaddingMask> mask,
      ModuleClient client,
      Optional<LookupClient> lookups,
      Optional<LeveledClient> leveled,
      OutOfRange outOfRange) {
    this.spec = spec;
    this.convolution = Optional.ofNullable(spec.unfolding()).map(Convolution::new);
    this.mask = mask.filter(unused -> spec.skipsPadding());
    this.client = client;
    this.lookups = lookups;
    this.leveled = leveled;
    this.outOfRange = outOfRange;
  }

  /**
   * Opens the calls of a model.
   *
   * @param key without one they can quantise and dequantise only
   * @param resources gets what they hold
   */
  static List<RemoteLayer> open(ClientSpecs specs, Optional<ClientKey> key, Resources resources) {
    List<RemoteLayer> layers = new ArrayList<>();
    Optional<PaddingMask> mask = Optional.ofNullable(specs.paddingMask()).map(PaddingMask::new);
    OutOfRange outOfRange = OutOfRange.ofSparkEnv();
    for (RemoteCallSpec remote : specs.remote()) {
      if (remote.isLeveled()) {
        LeveledClient leveled = resources.add(leveledClient(remote, key));
        layers.add(
            new RemoteLayer(
                remote, mask, null, Optional.empty(), Optional.of(leveled), outOfRange));
        continue;
      }
      ModuleClient client =
          key.map(k -> ModuleClient.withKey(remote.moduleSpec(), k))
              .orElseGet(() -> ModuleClient.withoutKey(remote.moduleSpec()));
      resources.add(client);
      Optional<LookupClient> lookups =
          remote.hasLookups()
              ? Optional.of(resources.add(lookupClient(remote, key)))
              : Optional.empty();
      RemoteLayer layer = new RemoteLayer(remote, mask, client, lookups);
      resources.add(layer.preparedMasks());
      layers.add(layer);
    }
    return layers;
  }

  private static LookupClient lookupClient(RemoteCallSpec remote, Optional<ClientKey> key) {
    LookupResultsSpec spec =
        new LookupResultsSpec(
            CircuitDigest.parse(remote.circuitDigest()),
            remote.lookups().parameters(),
            remote.lookups().outputScales(),
            remote.bias() == null ? new float[0] : remote.bias());
    return key.map(k -> LookupClient.withKey(spec, k))
        .orElseGet(() -> LookupClient.withoutKey(spec));
  }

  private static LeveledClient leveledClient(RemoteCallSpec remote, Optional<ClientKey> key) {
    LeveledClientSpec spec = remote.leveled().clientSpec(remote.circuitDigest());
    return key.map(k -> LeveledClient.withKey(spec, k))
        .orElseGet(() -> LeveledClient.withoutKey(spec));
  }

  RemoteCallSpec spec() {
    return spec;
  }

  /** What quantises for it; there is none if its circuit is leveled. */
  ModuleClient client() {
    if (client == null) {
      throw new IllegalStateException("module " + name() + " is leveled");
    }
    return client;
  }

  /** What normalises for it, if its circuit is leveled. */
  Optional<LeveledClient> leveled() {
    return leveled;
  }

  /** Bytes of a block of so many rows on the way up. */
  int blockBytes(int rows) {
    return leveled.map(LeveledClient::blockBytes).orElseGet(() -> client.blockBytes(rows));
  }

  /**
   * Encrypts rows under a fresh mask.
   *
   * @param scales written, a row: what decryption needs
   * @param block written, of {@link #blockBytes}
   */
  void encrypt(InputRows rows, float[] scales, long number, int cores, ByteBuffer block) {
    if (leveled.isPresent()) {
      leveled.get().encrypt(rows, scales, number, block);
    } else {
      client.encrypt(rows, scales, number, cores, block);
    }
  }

  /**
   * How many rows lie beyond the range of a leveled circuit and were drawn into it.
   *
   * @param rows that were normalised
   * @param scales that this gave
   * @throws InvalidInputException naming the first such record, if that is to end the run
   */
  int clamped(RowBlock rows, float[] scales) {
    if (leveled.isEmpty()) {
      return 0;
    }
    int clamped = 0;
    for (int row = 0; row < scales.length; row++) {
      if (scales[row] < 1) {
        clamped++;
        if (outOfRange == OutOfRange.FAIL) {
          throw new InvalidInputException(
              "module "
                  + name()
                  + ", record "
                  + (rows.recordNumber(row) + 1)
                  + ": it lies "
                  + String.format(Locale.ROOT, "%.3g", 1 / scales[row])
                  + " times as far from the center of the calibration data as the circuit is made"
                  + " for; correct or drop the record, calibrate with records like it, or set "
                  + OutOfRange.SETTING
                  + "=clamp");
        }
      }
    }
    if (clamped > 0 && hasWarned.compareAndSet(false, true)) {
      LOG.warn(
          "module {}: records lie beyond the range that its circuit is made for; they are drawn into"
              + " it, and their results are wrong; compile the model with calibration data like"
              + " these records",
          name());
    }
    return clamped;
  }

  /**
   * Decrypts and dequantises a block of results.
   *
   * @param scales that encryption gave
   */
  void decrypt(ByteBuffer block, long number, float[] scales, int cores, OutputRows outputs) {
    if (leveled.isPresent()) {
      leveled.get().decrypt(block, number, outputs);
    } else if (lookups.isPresent()) {
      requireStaticScale(scales);
      warnOf(lookups.get().decrypt(block, number, cores, outputs));
    } else {
      client.decrypt(block, number, scales, cores, outputs);
    }
  }

  /** Outputs of accumulators, or of phases if there are look-ups. */
  void dequantize(long[] results, float[] scales, OutputRows outputs) {
    if (lookups.isPresent()) {
      requireStaticScale(scales);
      warnOf(lookups.get().dequantize(results, outputs));
    } else {
      client.dequantize(results, scales, outputs);
    }
  }

  /** The tables of look-ups are made for one scale; a row of another is read wrongly. */
  private void requireStaticScale(float[] scales) {
    float expected = client.spec().quantization().staticScale();
    for (int row = 0; row < scales.length; row++) {
      if (scales[row] != expected) {
        throw new InvalidInputException(
            "module "
                + name()
                + ": row "
                + (row + 1)
                + " of a block was quantised with scale "
                + scales[row]
                + ", and its look-ups are made for "
                + expected
                + "; compile the model again");
      }
    }
  }

  /** Once a session: records unlike those of calibration come in numbers. */
  private void warnOf(long doubtful) {
    if (doubtful > 0 && hasWarned.compareAndSet(false, true)) {
      LOG.warn(
          "module {}: outputs lie beyond 1.5 times the range that calibration saw and may be wrong;"
              + " compile the model with calibration data like these records",
          name());
    }
  }

  /** Whether rows are whole records, whatever their axes. */
  boolean readsRecords() {
    return spec.recordShapes().isPresent();
  }

  /** Whether its circuit looks values up; beside that masks cost little, and are not prepared. */
  boolean hasLookups() {
    return spec.hasLookups();
  }

  /** Whether its circuit is a packed linear layer and nothing else. */
  boolean isPacked() {
    return spec.isPacked();
  }

  /** Masks for rows to come. */
  PreparedMasks preparedMasks() {
    return preparedMasks;
  }

  /** What messages call it. */
  String name() {
    return spec.circuit();
  }

  /** The tensors it reads. */
  List<String> reads() {
    return mask.map(padding -> List.of(spec.input(), padding.input()))
        .orElse(List.of(spec.input()));
  }

  /** The tensor whose rows it takes. */
  Tensor inputOf(Batch batch) {
    Tensor tensor = batch.tensor(spec.input());
    if (tensor.type() != OnnxJavaType.FLOAT) {
      throw unfit(tensor, "of floats");
    }
    if (convolution.isPresent()) {
      convolution.get().requireFits(tensor.shape(), expected -> unfit(tensor, expected));
    } else if (readsRecords()) {
      long[] shape = tensor.shape();
      List<Long> record = Arrays.stream(shape).skip(1).boxed().toList();
      List<Long> expected = spec.recordShapes().orElseThrow().input();
      if (shape.length < 1 || !record.equals(expected)) {
        throw unfit(tensor, "of records of shape " + expected);
      }
    } else if (tensor.width() != spec.dIn()) {
      throw unfit(tensor, "whose last axis is " + spec.dIn());
    }
    return tensor;
  }

  private InvalidInputException unfit(Tensor tensor, String expected) {
    return new InvalidInputException(
        "module "
            + name()
            + ": its input "
            + spec.input()
            + " is of type "
            + tensor.type()
            + " and shape "
            + Arrays.toString(tensor.shape())
            + ", expected one "
            + expected
            + "; this client artefact does not fit its segments or these records");
  }

  /** Makes room for its outputs in the batch, zero at the rows that need no work. */
  void allocateOutputs(Batch batch) {
    int active = activeRows(batch).stream().mapToInt(RowBlock.Run::rows).sum();
    boolean isComplete = active == rowsOf(batch);
    long[] input = inputOf(batch).shape();
    for (CallOutput output : spec.outputs()) {
      long[] shape;
      if (convolution.isPresent()) {
        shape = convolution.get().outputShape(input, output.columns());
      } else if (readsRecords()) {
        LongStream record =
            spec.recordShapes().orElseThrow().output().stream().mapToLong(axis -> axis);
        shape = LongStream.concat(LongStream.of(input[0]), record).toArray();
      } else {
        shape = input.clone();
        shape[shape.length - 1] = output.columns();
      }
      Tensor tensor = Tensor.pooled(ElementType.FLOAT, shape);
      batch.put(output.tensor(), isComplete ? tensor : tensor.clear());
    }
  }

  /** Whether rows of both batches may be in one block: windows only of images of one shape. */
  boolean canShareBlock(Batch one, Batch other) {
    long[] shape = inputOf(one).shape();
    long[] otherShape = inputOf(other).shape();
    return convolution.isEmpty()
        || Arrays.equals(shape, 1, shape.length, otherShape, 1, otherShape.length);
  }

  /** All rows that it makes of a batch. */
  private int rowsOf(Batch batch) {
    Tensor input = inputOf(batch);
    if (readsRecords()) {
      return Math.toIntExact(input.shape()[0]);
    }
    return convolution
        .map(windows -> Math.toIntExact(windows.rows(input.shape())))
        .orElseGet(input::rows);
  }

  /** Marks the records of rows whose result is lost. */
  void lose(RowBlock.Run run) {
    Batch batch = run.batch();
    int each = rowsEach(batch);
    if (each == 0) {
      batch.lose(0, batch.records());
    } else {
      batch.lose(run.first() / each, (run.first() + run.rows() - 1) / each + 1);
    }
  }

  /** Rows that a record makes; 0 if its rows are not told from those of others. */
  private int rowsEach(Batch batch) {
    boolean isCutByRecords = inputOf(batch).shape()[0] == batch.records();
    return isCutByRecords ? rowsOf(batch) / Math.max(1, batch.records()) : 0;
  }

  /** The record that a row of a batch belongs to; the batch's first if rows are not told apart. */
  int recordOf(Batch batch, int row) {
    int each = rowsEach(batch);
    return each == 0 ? 0 : row / each;
  }

  /**
   * The rows of a batch that need work: those at positions that the mask leaves in, of records that
   * are not lost.
   */
  List<RowBlock.Run> activeRows(Batch batch) {
    BitSet lost = batch.lost();
    if (lost.isEmpty()) {
      return unmaskedRows(batch);
    }
    int each = rowsEach(batch);
    if (each == 0) {
      batch.lose(0, batch.records());
      return List.of();
    }
    List<RowBlock.Run> runs = new ArrayList<>();
    for (RowBlock.Run run : unmaskedRows(batch)) {
      int end = run.first() + run.rows();
      int from = run.first();
      while (from < end) {
        int kept = lost.nextClearBit(from / each);
        int first = Math.max(from, kept * each);
        int next = lost.nextSetBit(kept);
        int last = next < 0 ? end : Math.min(end, next * each);
        if (first < last) {
          runs.add(new RowBlock.Run(batch, first, last - first));
        }
        from = Math.max(first, last);
      }
    }
    return runs;
  }

  private List<RowBlock.Run> unmaskedRows(Batch batch) {
    int rows = rowsOf(batch);
    if (mask.isEmpty()) {
      return rows == 0 ? List.of() : List.of(new RowBlock.Run(batch, 0, rows));
    }
    Tensor positions = batch.tensor(mask.get().input());
    long[] input = inputOf(batch).shape();
    if (input.length < 3 || !Arrays.equals(positions.shape(), Arrays.copyOf(input, 2))) {
      throw unfit(
          inputOf(batch),
          "that begins with the axes of the padding mask, " + Arrays.toString(positions.shape()));
    }
    int rowsEach = positions.elements() == 0 ? 0 : rows / positions.elements();
    List<RowBlock.Run> runs = new ArrayList<>();
    mask.get()
        .forEachRun(
            positions,
            (first, count) -> {
              if (rowsEach > 0) {
                runs.add(new RowBlock.Run(batch, first * rowsEach, count * rowsEach));
              }
            });
    return runs;
  }

  /** Where the inputs of rows lie. */
  InputRows inputs(List<RowBlock.Run> runs) {
    if (convolution.isPresent()) {
      long[] shape = inputOf(runs.get(0).batch()).shape();
      InputRows rows = InputRows.ofWindows(convolution.get().windows(shape));
      for (RowBlock.Run run : runs) {
        Tensor input = inputOf(run.batch());
        long image = input.elements() / input.shape()[0];
        convolution
            .get()
            .forEachImage(
                input.shape(),
                run,
                (index, first, count) -> rows.add(input.data(), index * image, first, count));
      }
      return rows;
    }
    InputRows rows = InputRows.ofTables();
    for (RowBlock.Run run : runs) {
      rows.add(inputOf(run.batch()).data(), 0, run.first(), run.rows());
    }
    return rows;
  }

  /** Where the outputs of rows go. */
  OutputRows outputs(List<RowBlock.Run> runs) {
    OutputRows rows =
        new OutputRows(spec.outputs().stream().mapToInt(CallOutput::columns).toArray());
    for (int i = 0; i < spec.outputs().size(); i++) {
      int tensor = i;
      CallOutput output = spec.outputs().get(i);
      for (RowBlock.Run run : runs) {
        Tensor place = run.batch().tensor(output.tensor());
        if (convolution.isEmpty()) {
          rows.addRows(tensor, place.data(), (long) run.first() * output.columns(), run.rows());
          continue;
        }
        long[] input = inputOf(run.batch()).shape();
        long positions = convolution.get().positions(input);
        convolution
            .get()
            .forEachImage(
                input,
                run,
                (index, first, count) ->
                    rows.addPositions(
                        tensor,
                        place.data(),
                        index * positions * output.columns() + first,
                        count,
                        positions));
      }
    }
    return rows;
  }

  /**
   * The record of a run, of all in its batch, whose input holds the first NaN or infinity; or -1.
   */
  int firstNotFinite(RowBlock.Run run) {
    Tensor input = inputOf(run.batch());
    int records = (int) input.shape()[0];
    int each = input.elements() / records;
    int rowsEach = rowsOf(run.batch()) / records;
    FloatBuffer values = input.data().asFloatBuffer();
    boolean isTable = convolution.isEmpty();
    // A window may reach anywhere in its image.
    int from = isTable ? run.first() * spec.dIn() : run.first() / rowsEach * each;
    int to =
        isTable
            ? (run.first() + run.rows()) * spec.dIn()
            : ((run.first() + run.rows() - 1) / rowsEach + 1) * each;
    for (int i = from; i < to; i++) {
      if (!Float.isFinite(values.get(i))) {
        return i / each;
      }
    }
    return -1;
  }

  /**
   * Most rows of one block.
   *
   * @throws InvalidInputException if the result of a single panel of rows is too large to send
   */
  int blockRows() {
    if (leveled.isPresent()) {
      return spec.leveled().parameters().polynomialSize();
    }
    PackedParameters parameters = spec.parameters();
    if (hasLookups()) {
      long fitting = RESULT_BYTES / bytesDown(1);
      long rows = Math.min(fitting, BLOCK_LOOKUPS / Math.max(1, spec.lookups().lookups()));
      return (int) Math.max(1, Math.min(parameters.maxRecords(), rows));
    }
    if (bytesDown(BlockLimits.PANEL_ROWS) > BlockLimits.LARGEST_RESULT_BYTES) {
      throw new InvalidInputException(
          "module "
              + name()
              + ": the encrypted result of one record takes "
              + bytesDown(1)
              + " bytes, more than a task can return; keep this module in clear");
    }
    long upward = BlockLimits.BLOCK_BYTES / bytesUp(1);
    long downward = (RESULT_BYTES - bytesDown(0)) / (bytesDown(1) - bytesDown(0));
    long rows = Math.min(upward, downward) / BlockLimits.PANEL_ROWS * BlockLimits.PANEL_ROWS;
    return (int) Math.min(parameters.maxRecords(), Math.max(BlockLimits.PANEL_ROWS, rows));
  }

  /**
   * Whether the mask is most of what the server multiplies for a block of so many rows. Only those
   * blocks take slots of prepared masks: one row with a mask of its own costs as much as some 1,500
   * rows, so its slot saves that; the slots of a larger block save less than a row's work each.
   */
  boolean isMostlyMask(int rows) {
    if (!isPacked()) {
      return false;
    }
    PackedParameters parameters = spec.parameters();
    long mask = (long) parameters.lweDimension() * parameters.limbs();
    return (long) rows * parameters.bodyLimbs() < mask;
  }

  /** Bytes of memory of so many slots of a prepared mask. */
  long preparedBytes(long rows) {
    PackedParameters parameters = spec.parameters();
    long input = (long) spec.dIn() * parameters.bodyLimbs();
    long output = (long) spec.dOut() * parameters.outputLimbs();
    return rows * (input + output);
  }

  /** Bytes of an encrypted input of so many rows, of at most one block if leveled. */
  long bytesUp(long rows) {
    if (leveled.isPresent()) {
      return spec.dIn() * spec.leveled().parameters().bytesUp();
    }
    return rows * spec.dIn() * spec.parameters().bodyLimbs();
  }

  /** Bytes of an encrypted result of so many rows in one block. */
  long bytesDown(long rows) {
    if (leveled.isPresent()) {
      return spec.dOut() * spec.leveled().parameters().bytesDown();
    }
    if (hasLookups()) {
      BootstrapParameters lookup = spec.lookups().parameters();
      return rows * spec.dOut() * (lookup.lweDimension() + 1) * lookup.outputBytes();
    }
    PackedParameters parameters = spec.parameters();
    long mask = (long) parameters.lweDimension() * parameters.outputLimbs();
    return (mask + rows * parameters.outputBodyLimbs()) * spec.dOut();
  }
}
