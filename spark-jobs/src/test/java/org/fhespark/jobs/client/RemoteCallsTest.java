package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.PaddingSide;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.Unfolding;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;
import org.fhespark.udf.Circuit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Calls of all kinds on waves of small batches: rows of any rank, masked or not, windows of any
 * geometry, one output or several, against loops over integers. The scale is 1 and so are those of
 * the weights, so that results are exact; a block holds 128 rows.
 */
class RemoteCallsTest {
  private static final PackedParameters PARAMETERS =
      new PackedParameters(20, 64, 4, 4, 4, 3, 17, 2);
  private static final int BLOCK_ROWS = 128;

  private static SparkSession spark;
  private static ClientThreads threads;
  private static ClientKey key;

  @BeforeAll
  static void start() {
    spark = Digits.session();
    threads = new ClientThreads(2);
    key = ClientKey.generate(new byte[32], List.of(PARAMETERS.secretKeyShape()));
  }

  @AfterAll
  static void stop() {
    key.close();
    threads.close();
    spark.stop();
  }

  /** A call, the weights {@code [dOut][dIn]} of its circuit, and the circuit. */
  private record Call(RemoteCallSpec spec, byte[] weights, byte[] circuit) {
    static Call of(
        Random random, int stage, int dIn, Unfolding unfolding, boolean skipsPadding, int outputs) {
      List<CallOutput> shares = new ArrayList<>();
      int dOut = 0;
      for (int i = 0; i < outputs; i++) {
        int columns = 1 + random.nextInt(40);
        shares.add(new CallOutput("m" + i, "y" + i, columns));
        dOut += columns;
      }
      byte[] weights = new byte[dOut * dIn];
      for (int i = 0; i < weights.length; i++) {
        weights[i] = (byte) (random.nextInt(15) - 7);
      }
      // No column may be all even.
      IntStream.range(0, dOut).forEach(j -> weights[j * dIn] = 1);
      float[] ones = new float[dOut];
      java.util.Arrays.fill(ones, 1f);
      float[] bias = new float[dOut];
      for (int j = 0; j < dOut; j++) {
        bias[j] = random.nextInt(1000);
      }
      byte[] circuit = PackedCircuit.encode(PARAMETERS, "m", dIn, dOut, weights);
      RemoteCallSpec spec =
          new RemoteCallSpec(
              "m",
              stage,
              "x",
              unfolding,
              shares,
              skipsPadding,
              dIn,
              dOut,
              CircuitDigest.of(circuit).hex(),
              PARAMETERS,
              WeightNorms.of(weights, dIn, dOut),
              new Quantization(8, 1f),
              ones,
              bias,
              4,
              -40,
              0,
              null,
              null);
      return new Call(spec, weights, circuit);
    }

    /** Column j of a row. */
    float output(int[] row, int j) {
      int sum = 0;
      for (int i = 0; i < row.length; i++) {
        sum += row[i] * weights[j * row.length + i];
      }
      return sum + spec.bias()[j];
    }
  }

  private static Tensor integers(Random random, int bound, long... shape) {
    Tensor tensor = Tensor.allocate(ElementType.FLOAT, shape);
    FloatBuffer values = tensor.data().asFloatBuffer();
    while (values.hasRemaining()) {
      values.put(random.nextInt(2 * bound + 1) - bound);
    }
    return tensor;
  }

  private static Batch batch(Map<String, Tensor> tensors) {
    int records = (int) tensors.get("x").shape()[0];
    return new Batch(
        LongStream.range(100, 100 + records).toArray(),
        Collections.nCopies(records, (Row) null),
        tensors);
  }

  /** How calls are evaluated. */
  private enum Way {
    IN_CLEAR,
    ENCRYPTED,
    /** Some of the rows in slots of masks that were prepared ahead. */
    PREPARED
  }

  private static ClearIntegerCircuit.Product accumulate(PackedCircuit circuit) {
    return (client, activations) -> circuit.accumulate(activations);
  }

  /** Outputs of every batch, tensor by tensor, of one evaluator. */
  private static List<List<float[]>> evaluate(Way way, Call call, List<Map<String, Tensor>> wave) {
    List<Batch> batches = wave.stream().map(RemoteCallsTest::batch).toList();
    Measurements measurements = new Measurements();
    try (Resources resources = new Resources()) {
      ModuleClient client = resources.add(ModuleClient.withKey(call.spec().moduleSpec(), key));
      RemoteLayer layer =
          new RemoteLayer(
              call.spec(),
              Optional.of(new PaddingMask("mask", EnumSet.allOf(PaddingSide.class))),
              new PackedCipher(call.spec(), client));
      RemoteEvaluator evaluator =
          resources.add(
              way != Way.IN_CLEAR
                  ? EncryptedEvaluator.onExecutors(
                      JavaSparkContext.fromSparkContext(spark.sparkContext()),
                      List.of(new Circuit(call.circuit())),
                      Map.of(),
                      Map.of(),
                      threads,
                      measurements,
                      ScoreProgress.SILENT)
                  : new QuantizedEvaluator(
                      Map.of(
                          CircuitDigest.of(call.circuit()).hex(),
                          new ClearIntegerCircuit(
                              accumulate(resources.add(PackedCircuit.open(call.circuit()))))),
                      threads,
                      measurements));
      if (way == Way.PREPARED) {
        resources.add(layer.preparedMasks());
        // Enough for a block or two: blocks beyond them get masks of their own.
        evaluator.prepare(MaskDemand.of(List.of(layer), 150, Long.MAX_VALUE));
        assertEquals(150, layer.preparedMasks().slotsLeft());
      }
      evaluator.evaluate(List.of(layer), batches);
      long rows = batches.stream().flatMap(b -> layer.activeRows(b).stream()).count();
      assertEquals(way == Way.PREPARED && rows > 0, measurements.preparedRows.sum() > 0);
    }
    List<List<float[]>> results = new ArrayList<>();
    for (Batch batch : batches) {
      List<float[]> tensors = new ArrayList<>();
      for (CallOutput output : call.spec().outputs()) {
        Tensor tensor = batch.tensor(output.tensor());
        float[] values = new float[tensor.elements()];
        tensor.data().asFloatBuffer().get(values);
        tensors.add(values);
      }
      results.add(tensors);
    }
    return results;
  }

  private static void assertEvaluatesTo(
      List<List<float[]>> expected, Call call, List<Map<String, Tensor>> wave) {
    for (Way way : Way.values()) {
      List<List<float[]>> found = evaluate(way, call, wave);
      for (int batch = 0; batch < expected.size(); batch++) {
        for (int tensor = 0; tensor < expected.get(batch).size(); tensor++) {
          assertArrayEquals(
              expected.get(batch).get(tensor),
              found.get(batch).get(tensor),
              way + ", batch " + batch + ", tensor " + tensor);
        }
      }
    }
  }

  static IntStream seeds() {
    return IntStream.range(0, 12);
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void rowsOfAnyRankFillBlocksAcrossBatchesAndSkipPadding(int seed) {
    Random random = new Random(seed);
    int dIn = 1 + random.nextInt(30);
    boolean skips = seed % 2 == 1;
    int rank = skips ? 3 + random.nextInt(2) : 2 + random.nextInt(3);
    Call call = Call.of(random, 0, dIn, null, skips, 1 + seed % 3);
    List<Map<String, Tensor>> wave = new ArrayList<>();
    List<List<float[]>> expected = new ArrayList<>();
    for (int b = 0; b < 1 + random.nextInt(5); b++) {
      long[] shape = new long[rank];
      for (int axis = 0; axis < rank - 1; axis++) {
        shape[axis] = 1 + random.nextInt(rank == 2 ? 300 : 12);
      }
      shape[rank - 1] = dIn;
      Tensor x = integers(random, 127, shape);
      Tensor mask = Tensor.allocate(ElementType.INT64, shape[0], shape[1]);
      int positions = mask.elements();
      // Padded at the end, at the start, in the middle, and everywhere.
      for (int p = 0; p < positions; p++) {
        mask.data().asLongBuffer().put(p, random.nextInt(4) == 0 || b == 3 ? 0 : 1);
      }
      wave.add(Map.of("x", x, "mask", mask));
      int rows = x.elements() / dIn;
      List<float[]> tensors = new ArrayList<>();
      int first = 0;
      for (CallOutput output : call.spec().outputs()) {
        float[] values = new float[rows * output.columns()];
        for (int row = 0; row < rows; row++) {
          if (skips && mask.data().asLongBuffer().get(row / (rows / positions)) == 0) {
            continue;
          }
          int[] activations = new int[dIn];
          for (int i = 0; i < dIn; i++) {
            activations[i] = (int) x.data().asFloatBuffer().get(row * dIn + i);
          }
          for (int j = 0; j < output.columns(); j++) {
            values[row * output.columns() + j] = call.output(activations, first + j);
          }
        }
        tensors.add(values);
        first += output.columns();
      }
      expected.add(tensors);
    }
    assertEvaluatesTo(expected, call, wave);
  }

  private static Unfolding unfolding(Random random, int axes, int channels) {
    List<List<Integer>> lengths = new ArrayList<>();
    for (int[] range : new int[][] {{1, 3}, {1, 3}, {0, 2}, {0, 2}, {1, 2}}) {
      lengths.add(
          IntStream.range(0, axes)
              .mapToObj(axis -> range[0] + random.nextInt(range[1] - range[0] + 1))
              .toList());
    }
    return new Unfolding(
        channels, lengths.get(0), lengths.get(1), lengths.get(2), lengths.get(3), lengths.get(4));
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void convolutionsOfAnyGeometryEqualALoopOverTheirWindows(int seed) {
    Random random = new Random(1000 + seed);
    int axes = 1 + seed % 2;
    int channels = 1 + random.nextInt(4);
    Unfolding unfolding = unfolding(random, axes, channels);
    Call call = Call.of(random, 0, unfolding.rowValues(), unfolding, false, 1 + seed % 3);
    List<Map<String, Tensor>> wave = new ArrayList<>();
    List<List<float[]>> expected = new ArrayList<>();
    for (int b = 0; b < 1 + random.nextInt(3); b++) {
      long images = 1 + random.nextInt(6);
      long height = axes == 2 ? 5 + random.nextInt(6) : 1;
      long width = 5 + random.nextInt(axes == 2 ? 6 : 60);
      Tensor x =
          axes == 2
              ? integers(random, 100, images, channels, height, width)
              : integers(random, 100, images, channels, width);
      wave.add(Map.of("x", x));
      expected.add(convolved(call, x, (int) images, (int) height, (int) width));
    }
    assertEvaluatesTo(expected, call, wave);
  }

  private static int along(List<Integer> lengths, int axis, int ofSignals) {
    return lengths.size() == 2 ? lengths.get(axis) : axis == 1 ? lengths.get(0) : ofSignals;
  }

  private static List<float[]> convolved(Call call, Tensor x, int images, int height, int width) {
    Unfolding u = call.spec().unfolding();
    int[] extent = {height, width};
    int[] out = new int[2];
    for (int axis = 0; axis < 2; axis++) {
      int window = along(u.dilations(), axis, 1) * (along(u.kernel(), axis, 1) - 1) + 1;
      int padded = extent[axis] + along(u.padsBegin(), axis, 0) + along(u.padsEnd(), axis, 0);
      out[axis] = (padded - window) / along(u.strides(), axis, 1) + 1;
    }
    List<float[]> tensors = new ArrayList<>();
    int firstColumn = 0;
    for (CallOutput output : call.spec().outputs()) {
      float[] values = new float[images * output.columns() * out[0] * out[1]];
      for (int n = 0; n < images; n++) {
        for (int p = 0; p < out[0] * out[1]; p++) {
          int[] window = window(call, x, n, p / out[1], p % out[1], height, width);
          for (int j = 0; j < output.columns(); j++) {
            values[(n * output.columns() + j) * out[0] * out[1] + p] =
                call.output(window, firstColumn + j);
          }
        }
      }
      tensors.add(values);
      firstColumn += output.columns();
    }
    return tensors;
  }

  private static int[] window(Call call, Tensor x, int n, int oy, int ox, int height, int width) {
    Unfolding u = call.spec().unfolding();
    int[] window = new int[u.rowValues()];
    int next = 0;
    for (int c = 0; c < u.channels(); c++) {
      for (int ky = 0; ky < along(u.kernel(), 0, 1); ky++) {
        for (int kx = 0; kx < along(u.kernel(), 1, 1); kx++) {
          int y =
              oy * along(u.strides(), 0, 1)
                  + ky * along(u.dilations(), 0, 1)
                  - along(u.padsBegin(), 0, 0);
          int z =
              ox * along(u.strides(), 1, 1)
                  + kx * along(u.dilations(), 1, 1)
                  - along(u.padsBegin(), 1, 0);
          boolean isInside = y >= 0 && y < height && z >= 0 && z < width;
          window[next++] =
              isInside
                  ? (int)
                      x.data()
                          .asFloatBuffer()
                          .get(((n * u.channels() + c) * height + y) * width + z)
                  : 0;
        }
      }
    }
    return window;
  }

  @Test
  void paddingIsComputedWhereNobodyTriedToSkipIt() {
    Call call = Call.of(new Random(8), 0, 3, null, true, 1);
    try (ModuleClient client = ModuleClient.withoutKey(call.spec().moduleSpec())) {
      PaddingMask mask = new PaddingMask("mask", EnumSet.of(PaddingSide.BEHIND));
      RemoteLayer layer =
          new RemoteLayer(call.spec(), Optional.of(mask), new PackedCipher(call.spec(), client));
      assertEquals(List.of(2, 1), activeRows(layer, 1, 1, 0, 1, 0, 0));
      assertEquals(List.of(6), activeRows(layer, 1, 1, 0, 0, 1, 1));
      assertEquals(List.of(6), activeRows(layer, 1, 0, 1, 1, 1, 1));
    }
  }

  /** Rows that are computed of two sequences of three positions. */
  private static List<Integer> activeRows(RemoteLayer layer, long... kept) {
    Tensor mask = Tensor.allocate(ElementType.INT64, 2, 3);
    mask.data().asLongBuffer().put(kept);
    Tensor rows = Tensor.allocate(ElementType.FLOAT, 2, 3, 3);
    return layer.activeRows(batch(Map.of("x", rows, "mask", mask))).stream()
        .map(RowBlock.Run::rows)
        .toList();
  }

  /** As of a model that flattens records and positions to one axis. */
  @Test
  void aNanAmongRowsOfUnknownRecordsIsRefusedWithoutOne() {
    Random random = new Random(7);
    Call call = Call.of(random, 0, 3, null, false, 1);
    Tensor rows = integers(random, 10, 12 * 7, 3);
    rows.data().asFloatBuffer().put((50 * 3) + 1, Float.NaN);
    try (ModuleClient client = ModuleClient.withoutKey(call.spec().moduleSpec())) {
      RemoteLayer layer =
          new RemoteLayer(call.spec(), Optional.empty(), new PackedCipher(call.spec(), client));
      long[] records = LongStream.range(0, 12).toArray();
      Batch batch = new Batch(records, Collections.nCopies(12, (Row) null), Map.of("x", rows));
      RowBlock block = RowBlock.of(layer, List.of(batch), 1).get(0);
      String message = block.explain(new InvalidInputException("feature 1 is NaN")).getMessage();
      assertEquals("module m, tensor x: feature 1 is NaN", message);
    }
  }

  @Test
  void blocksAreSplitWithoutLosingRows() {
    Call call = Call.of(new Random(5), 0, 3, null, false, 1);
    try (ModuleClient client = ModuleClient.withoutKey(call.spec().moduleSpec())) {
      RemoteLayer layer =
          new RemoteLayer(call.spec(), Optional.empty(), new PackedCipher(call.spec(), client));
      List<Batch> wave = new ArrayList<>();
      for (int rows : new int[] {30, 50, 40}) {
        wave.add(batch(Map.of("x", Tensor.allocate(ElementType.FLOAT, rows, 3))));
      }
      List<RowBlock> split = RowBlock.of(layer, wave, 1).get(0).split(50);
      assertEquals(List.of(50, 50, 20), split.stream().map(RowBlock::rows).toList());
      assertEquals(
          List.of(new RowBlock.Run(wave.get(0), 0, 30), new RowBlock.Run(wave.get(1), 0, 20)),
          split.get(0).runs());
      assertEquals(List.of(new RowBlock.Run(wave.get(2), 20, 20)), split.get(2).runs());
    }
  }

  @Test
  void blocksAreOfLikeSizesAcrossBatches() {
    assertEquals(List.of(128, 128, 128, 77), blockRows(1, 100, 1, 60, 300));
    assertEquals(List.of(128, 72), blockRows(1, 100, 100));
    // 128 rows fit one block, and would be mostly mask in two.
    assertEquals(List.of(128), blockRows(8, 128));
    assertEquals(List.of(), blockRows(1));
  }

  private static List<Integer> blockRows(int wanted, int... batchRows) {
    Call call = Call.of(new Random(5), 0, 3, null, false, 1);
    try (ModuleClient client = ModuleClient.withoutKey(call.spec().moduleSpec())) {
      RemoteLayer layer =
          new RemoteLayer(call.spec(), Optional.empty(), new PackedCipher(call.spec(), client));
      List<Batch> wave = new ArrayList<>();
      for (int rows : batchRows) {
        wave.add(batch(Map.of("x", Tensor.allocate(ElementType.FLOAT, rows, 3))));
      }
      return RowBlock.of(layer, wave, wanted).stream().map(RowBlock::rows).toList();
    }
  }

  @Test
  void aNanIsNamedByItsRecordWhereverItsRowTravels() {
    Random random = new Random(6);
    Call call = Call.of(random, 0, 3, null, false, 2);
    List<Map<String, Tensor>> wave = new ArrayList<>();
    for (int records : new int[] {20, 30}) {
      wave.add(Map.of("x", integers(random, 10, records, 7, 3)));
    }
    wave.get(1).get("x").data().asFloatBuffer().put((25 * 7 + 2) * 3 + 1, Float.NaN);
    for (Way way : Way.values()) {
      InvalidInputException error =
          assertThrows(InvalidInputException.class, () -> evaluate(way, call, wave));
      // The batch's records are numbered from 100, people count from 1.
      assertTrue(error.getMessage().contains("record 126:"), error.getMessage());
      assertTrue(error.getMessage().contains("feature 1"), error.getMessage());
      assertEquals(1, error.getMessage().lines().count());
    }
  }
}
