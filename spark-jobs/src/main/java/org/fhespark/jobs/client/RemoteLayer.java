package org.fhespark.jobs.client;

import ai.onnxruntime.OnnxJavaType;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.LongStream;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.OutputRows;
import org.fhespark.nativelib.PackedParameters;

/**
 * One call of remote modules in the schedule: what its rows are made of, and where their results
 * go.
 */
final class RemoteLayer {
  private final RemoteCallSpec spec;
  private final Optional<Convolution> convolution;
  private final Optional<PaddingMask> mask;
  private final LayerCipher cipher;
  private final PreparedMasks preparedMasks = new PreparedMasks();

  /**
   * @param mask the model's padding mask, if it has one
   * @param cipher encrypts rows and decrypts their results
   */
  RemoteLayer(RemoteCallSpec spec, Optional<PaddingMask> mask, LayerCipher cipher) {
    this.spec = spec;
    this.convolution = Optional.ofNullable(spec.unfolding()).map(Convolution::new);
    this.mask = mask.filter(unused -> spec.skipsPadding());
    this.cipher = cipher;
  }

  /**
   * Opens the calls of a model.
   *
   * @param key without one they can quantise and dequantise only
   * @param outOfRange what becomes of records that a leveled circuit is not made for
   * @param resources gets what they hold
   */
  static List<RemoteLayer> open(
      ClientSpecs specs, Optional<ClientKey> key, OutOfRange outOfRange, Resources resources) {
    List<RemoteLayer> layers = new ArrayList<>();
    Optional<PaddingMask> mask =
        Optional.ofNullable(specs.paddingMask())
            .map(input -> new PaddingMask(input, Set.copyOf(specs.paddingSides())));
    for (RemoteCallSpec remote : specs.remote()) {
      LayerCipher cipher = LayerCipher.open(remote, key, outOfRange, resources);
      RemoteLayer layer = new RemoteLayer(remote, mask, cipher);
      resources.add(layer.preparedMasks());
      layers.add(layer);
    }
    return layers;
  }

  RemoteCallSpec spec() {
    return spec;
  }

  /** Encrypts its rows and decrypts their results. */
  LayerCipher cipher() {
    return cipher;
  }

  /**
   * The same of a circuit that takes quantised activations.
   *
   * @throws IllegalStateException if it takes others
   */
  IntegerCipher integers() {
    if (cipher instanceof IntegerCipher integers) {
      return integers;
    }
    throw new IllegalStateException("module " + name() + " is leveled");
  }

  /** What quantises for it, if something does. */
  ModuleClient client() {
    return integers().client();
  }

  /** Whether rows are whole records, whatever their axes. */
  boolean readsRecords() {
    return spec.recordShapes().isPresent();
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
    if (!mask.get().fits(positions)) {
      return List.of(new RowBlock.Run(batch, 0, rows));
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
   * The record of a run, of all in its batch, whose input holds the first NaN or infinity; -1 if
   * there is none, or rows are not told from those of other records.
   */
  int firstNotFinite(RowBlock.Run run) {
    if (rowsEach(run.batch()) == 0) {
      return -1;
    }
    Tensor input = inputOf(run.batch());
    int records = run.batch().records();
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
}
