package org.fhespark.compiler.lookups;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.lookups.FloatPart.Values;
import org.fhespark.compiler.lookups.LookupRegion.Activation;
import org.fhespark.compiler.lookups.LookupRegion.Maximum;
import org.fhespark.compiler.lookups.LookupRegion.Step;
import org.fhespark.compiler.onnx.OnnxModel;

/**
 * Reads what a region computes off ONNX Runtime: affine parts by their images of zero and of unit
 * vectors, whatever operators they are made of, and maxima by which values they compare.
 */
final class NetworkReader {
  /** Rows of a run. */
  private static final int ROWS = 64;

  /** Of the largest weight of a row: float32 leaves so much where there is nothing. */
  private static final double NOTHING = 1e-6;

  /** Of the sum of magnitudes; float32 sums of thousands of terms come closer by far. */
  private static final double TOLERANCE = 1e-3;

  private static final int MOST_VARIABLES = 1 << 20;

  /** Arguments that a function is tried on for monotony. */
  private static final int TRIALS = 4096;

  private final OnnxModel model;
  private final LookupRegion region;
  private final RowLayout layout;
  private final int records;
  private final int rows;

  /** Shapes of the tensors between steps, for {@link #records} records. */
  private final Map<String, long[]> shapes = new HashMap<>();

  private final Map<String, Combination[]> tensors = new LinkedHashMap<>();
  private final List<Network.Layer> layers = new ArrayList<>();

  /** Monotone functions whose only reader is a maximum: it comes first. */
  private final Map<String, Activation> deferred = new HashMap<>();

  private int variables;

  private NetworkReader(OnnxModel model, LookupRegion region, RowLayout layout) {
    this.model = model;
    this.region = region;
    this.layout = layout;
    this.records = Math.max(1, ROWS / layout.rowsPerRecord());
    this.rows = records * layout.rowsPerRecord();
  }

  /**
   * Reads a region.
   *
   * @throws InvalidInputException if it computes something else than its operators look like
   */
  static Network read(OnnxModel model, LookupRegion region, RowLayout layout) {
    return new NetworkReader(model, region, layout).network();
  }

  private Network network() {
    learnShapes();
    int inputs = layout.width();
    tensors.put(region.input(), variables(0, inputs));
    variables = inputs;
    for (Step step : region.steps()) {
      if (step instanceof Activation activation) {
        if (isReadByMaximumAlone(activation.result()) && isMonotone(function(activation))) {
          deferred.put(activation.result(), activation);
        } else {
          add(activation, combinations(activation.argument()));
        }
      } else if (step instanceof Maximum maximum) {
        add(maximum);
      }
    }
    Combination[] outputs = combinations(region.output());
    long[] shape = shapes.get(region.output());
    if (shape.length == 0 || shape[0] != records) {
      throw misunderstood("its output '" + region.output() + "' has no batch axis");
    }
    return new Network(inputs, layers, outputs, Arrays.stream(shape).skip(1).boxed().toList());
  }

  private static Combination[] variables(int first, int count) {
    Combination[] all = new Combination[count];
    for (int i = 0; i < count; i++) {
      all[i] = Combination.of(first + i);
    }
    return all;
  }

  private void learnShapes() {
    Set<String> wanted = new TreeSet<>(Set.of(region.output()));
    for (Step step : region.steps()) {
      wanted.add(step.result());
      if (step instanceof Activation activation) {
        wanted.add(activation.argument());
      } else if (step instanceof Maximum maximum) {
        wanted.addAll(maximum.operands());
      }
    }
    wanted.remove(region.input());
    Values zeros = new Values(layout.shape(records), new float[rows * layout.width()]);
    shapes.put(region.input(), zeros.shape());
    try (FloatPart part = FloatPart.of(model, Set.of(region.input()), wanted, true)) {
      part.run(Map.of(region.input(), zeros))
          .forEach(
              (tensor, values) -> {
                shapes.put(tensor, values.shape());
                if (values.values().length % rows != 0) {
                  throw misunderstood("'" + tensor + "' does not hold as much for every row");
                }
              });
    }
  }

  private int width(String tensor) {
    return (int) (elements(tensor) / rows);
  }

  private long elements(String tensor) {
    return Arrays.stream(shapes.get(tensor)).reduce(1, Math::multiplyExact);
  }

  private void add(Activation activation, Combination[] arguments) {
    tensors.put(activation.result(), layer(activation.result(), arguments, function(activation)));
  }

  /** Adds a layer; returns its variables. */
  private Combination[] layer(String name, Combination[] arguments, ValueFunction function) {
    layers.add(new Network.Layer(name, arguments, function));
    Combination[] made = variables(variables, arguments.length);
    variables += arguments.length;
    if (variables > MOST_VARIABLES) {
      throw new InvalidInputException(
          model.file()
              + ": the remote part from '"
              + region.input()
              + "' to '"
              + region.output()
              + "' looks up more than "
              + MOST_VARIABLES
              + " values of a row; name smaller remote modules");
    }
    return made;
  }

  private ValueFunction function(Activation activation) {
    long[] shape = shapes.get(activation.argument());
    int length = (int) elements(activation.argument());
    return arguments -> {
      float[] results = new float[arguments.length];
      try (FloatPart part =
          FloatPart.of(model, Set.of(activation.argument()), List.of(activation.result()), true)) {
        for (int from = 0; from < arguments.length; from += length) {
          float[] some = Arrays.copyOfRange(arguments, from, from + length);
          float[] made =
              part.run(Map.of(activation.argument(), new Values(shape, some)))
                  .get(activation.result())
                  .values();
          System.arraycopy(made, 0, results, from, Math.min(length, arguments.length - from));
        }
      }
      return results;
    };
  }

  private boolean isReadByMaximumAlone(String tensor) {
    return !tensor.equals(region.output())
        && region.steps().stream()
            .anyMatch(
                step ->
                    step instanceof Maximum maximum
                        && maximum.operands().equals(List.of(tensor))
                        && model.graph().consumers(tensor).equals(List.of(maximum.node())));
  }

  private static boolean isMonotone(ValueFunction function) {
    float[] arguments = new float[TRIALS];
    for (int i = 0; i < TRIALS; i++) {
      // Magnitudes from 2^-12 to 2^12, of either sign, ascending.
      double exponent = 12 - 24.0 * (i < TRIALS / 2 ? i : TRIALS - 1 - i) / (TRIALS / 2);
      arguments[i] = (float) (Math.pow(2, exponent) * (i < TRIALS / 2 ? -1 : 1));
    }
    float[] values = function.apply(arguments);
    for (int i = 1; i < TRIALS; i++) {
      if (!(values[i] >= values[i - 1])) {
        return false;
      }
    }
    return true;
  }

  /** A tensor that is affine in what is known. */
  private Combination[] combinations(String tensor) {
    Combination[] known = tensors.get(tensor);
    if (known == null) {
      known = probe(tensor);
    }
    return known;
  }

  private Combination[] probe(String tensor) {
    try (FloatPart part = FloatPart.of(model, tensors.keySet(), List.of(tensor), false)) {
      int width = width(tensor);
      Map<String, Values> given = new HashMap<>();
      for (String input : part.inputs()) {
        given.put(input, new Values(shapes.get(input), new float[(int) elements(input)]));
      }
      float[] constants = firstRow(part.run(given).get(tensor).values(), width);
      List<Entries> entries = new ArrayList<>();
      for (String input : part.inputs()) {
        entries.add(images(part, given, input, tensor, constants));
      }
      verify(part, given, tensor, constants, entries);
      Combination.Sum sum = new Combination.Sum(variables);
      Combination[] made = new Combination[width];
      for (int j = 0; j < width; j++) {
        double largest = 0;
        for (Entries some : entries) {
          largest = Math.max(largest, some.largest(j));
        }
        sum.add(constants[j]);
        for (int i = 0; i < entries.size(); i++) {
          entries.get(i).addTo(sum, j, NOTHING * largest, tensors.get(part.inputs().get(i)));
        }
        made[j] = sum.take();
      }
      return made;
    }
  }

  private float[] firstRow(float[] values, int width) {
    for (int r = 1; r < rows; r++) {
      for (int j = 0; j < width; j++) {
        if (Math.abs(values[r * width + j] - values[j])
            > TOLERANCE * Math.abs(values[j]) + NOTHING) {
          throw misunderstood("rows are not computed alike");
        }
      }
    }
    return Arrays.copyOf(values, width);
  }

  /** The entries of a matrix that are not zero, by rows. */
  private static final class Entries {
    private final int[][] columns;
    private final float[][] weights;
    private final int[] counts;

    Entries(int rows) {
      columns = new int[rows][4];
      weights = new float[rows][4];
      counts = new int[rows];
    }

    void add(int row, int column, float weight) {
      int count = counts[row]++;
      if (count == columns[row].length) {
        columns[row] = Arrays.copyOf(columns[row], 2 * count);
        weights[row] = Arrays.copyOf(weights[row], 2 * count);
      }
      columns[row][count] = column;
      weights[row][count] = weight;
    }

    double largest(int row) {
      double largest = 0;
      for (int i = 0; i < counts[row]; i++) {
        largest = Math.max(largest, Math.abs(weights[row][i]));
      }
      return largest;
    }

    void addTo(Combination.Sum sum, int row, double threshold, Combination[] meanings) {
      for (int i = 0; i < counts[row]; i++) {
        if (Math.abs(weights[row][i]) > threshold) {
          sum.add(weights[row][i], meanings[columns[row][i]]);
        }
      }
    }

    /** Adds row · x and the sum of magnitudes. */
    void multiply(int row, float[] x, int offset, double[] sumAndMagnitude) {
      for (int i = 0; i < counts[row]; i++) {
        double term = (double) weights[row][i] * x[offset + columns[row][i]];
        sumAndMagnitude[0] += term;
        sumAndMagnitude[1] += Math.abs(term);
      }
    }
  }

  /** What unit vectors of one input make. */
  private Entries images(
      FloatPart part, Map<String, Values> given, String input, String tensor, float[] constants) {
    int inputWidth = width(input);
    int width = constants.length;
    Entries entries = new Entries(width);
    float[] values = given.get(input).values();
    for (int from = 0; from < inputWidth; from += rows) {
      int count = Math.min(rows, inputWidth - from);
      for (int r = 0; r < count; r++) {
        values[r * inputWidth + from + r] = 1;
      }
      float[] made = part.run(given).get(tensor).values();
      for (int r = 0; r < count; r++) {
        values[r * inputWidth + from + r] = 0;
        for (int j = 0; j < width; j++) {
          float weight = made[r * width + j] - constants[j];
          if (weight != 0) {
            entries.add(j, from + r, weight);
          }
        }
      }
    }
    return entries;
  }

  /** Compares the map that was read with what ONNX Runtime makes of random values. */
  private void verify(
      FloatPart part,
      Map<String, Values> given,
      String tensor,
      float[] constants,
      List<Entries> entries) {
    SplittableRandom random = new SplittableRandom(1);
    for (Values values : given.values()) {
      for (int i = 0; i < values.values().length; i++) {
        values.values()[i] = (float) random.nextDouble(-1, 1);
      }
    }
    float[] made = part.run(given).get(tensor).values();
    int width = constants.length;
    for (int r = 0; r < rows; r += Math.max(1, rows / 4)) {
      for (int j = 0; j < width; j++) {
        double[] sumAndMagnitude = {constants[j], Math.abs(constants[j])};
        for (int i = 0; i < entries.size(); i++) {
          String input = part.inputs().get(i);
          entries.get(i).multiply(j, given.get(input).values(), r * width(input), sumAndMagnitude);
        }
        double difference = made[r * width + j] - sumAndMagnitude[0];
        if (!(Math.abs(difference) <= TOLERANCE * sumAndMagnitude[1] + Float.MIN_NORMAL)) {
          throw misunderstood(
              "'"
                  + tensor
                  + "' is "
                  + made[r * width + j]
                  + " where its weights give "
                  + sumAndMagnitude[0]);
        }
      }
    }
  }

  private void add(Maximum maximum) {
    Activation before = deferred.get(maximum.operands().get(0));
    List<Combination> candidates = new ArrayList<>();
    for (String operand : maximum.operands()) {
      candidates.addAll(Arrays.asList(combinations(before == null ? operand : before.argument())));
    }
    List<List<Combination>> windows =
        windows(maximum).stream()
            .map(window -> window.stream().map(candidates::get).toList())
            .toList();
    Combination[] largest = tournament(maximum.result(), windows);
    if (before == null) {
      tensors.put(maximum.result(), largest);
    } else {
      tensors.put(maximum.result(), layer(before.result(), largest, function(before)));
    }
  }

  /** Of which values each result is the largest; values of several operands one after another. */
  private List<List<Integer>> windows(Maximum maximum) {
    List<List<Integer>> windows = new ArrayList<>();
    int width = width(maximum.result());
    for (int j = 0; j < width; j++) {
      windows.add(new ArrayList<>());
    }
    try (FloatPart part =
        FloatPart.of(model, maximum.operands(), List.of(maximum.result()), false)) {
      Map<String, Values> given = new HashMap<>();
      for (String operand : part.inputs()) {
        given.put(operand, new Values(shapes.get(operand), new float[(int) elements(operand)]));
      }
      float[] zeros = new float[width];
      int offset = 0;
      for (String operand : maximum.operands()) {
        int first = offset;
        Entries entries = images(part, given, operand, maximum.result(), zeros);
        for (int j = 0; j < width; j++) {
          for (int i = 0; i < entries.counts[j]; i++) {
            windows.get(j).add(first + entries.columns[j][i]);
          }
        }
        offset += width(operand);
      }
    }
    if (windows.stream().anyMatch(Collection::isEmpty)) {
      throw misunderstood("'" + maximum.result() + "' is a maximum of nothing");
    }
    return windows;
  }

  /** max(a, b) = b + max(a - b, 0), in rounds. */
  private Combination[] tournament(String name, List<List<Combination>> windows) {
    List<List<Combination>> left = windows;
    Combination.Sum sum = new Combination.Sum(variables);
    while (left.stream().anyMatch(window -> window.size() > 1)) {
      List<Combination> differences = new ArrayList<>();
      for (List<Combination> window : left) {
        for (int i = 0; i + 1 < window.size(); i += 2) {
          sum.add(1, window.get(i));
          sum.add(-1, window.get(i + 1));
          differences.add(sum.take());
        }
      }
      Combination[] positive =
          layer(name, differences.toArray(Combination[]::new), ValueFunction.RELU);
      List<List<Combination>> winners = new ArrayList<>();
      int next = 0;
      for (List<Combination> window : left) {
        List<Combination> won = new ArrayList<>();
        for (int i = 0; i + 1 < window.size(); i += 2) {
          sum.add(1, window.get(i + 1));
          sum.add(1, positive[next++]);
          won.add(sum.take());
        }
        if (window.size() % 2 == 1) {
          won.add(window.get(window.size() - 1));
        }
        winners.add(won);
      }
      left = winners;
    }
    return left.stream().map(window -> window.get(0)).toArray(Combination[]::new);
  }

  private InvalidInputException misunderstood(String what) {
    return new InvalidInputException(
        model.file()
            + ": the remote part from '"
            + region.input()
            + "' to '"
            + region.output()
            + "' is not what its operators look like: "
            + what
            + "; name smaller remote modules");
  }
}
