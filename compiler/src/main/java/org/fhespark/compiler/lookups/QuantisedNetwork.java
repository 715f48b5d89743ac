package org.fhespark.compiler.lookups;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.LookupRanges;
import org.fhespark.nativelib.LookupStep;
import org.fhespark.nativelib.WeightNorms;

/**
 * A network in integers: what a circuit with look-ups computes. A packed layer makes the part of
 * each combination that comes of the row's values, some in two planes of weights; then, for each
 * layer, a linear step makes the phases to read and a look-up reads them; a last linear step makes
 * the outputs.
 *
 * @param packedOutputs outputs of the packed layer
 * @param packedWeights {@code [packedOutputs][inputs]}
 * @param messageBits p: an accumulator m of the packed layer is the phase m / 2^p
 * @param tables of torus elements, in units of 2^-64
 * @param steps of the circuit
 * @param ranges of the look-ups' arguments
 * @param outputs the values that are the result
 * @param outputScales what a turn is worth, of each output
 * @param outputBias added to each output
 */
record QuantisedNetwork(
    int packedOutputs,
    byte[] packedWeights,
    int messageBits,
    List<long[]> tables,
    List<LookupStep> steps,
    LookupRanges ranges,
    int[] outputs,
    double[] outputScales,
    double[] outputBias) {

  private static final int LARGEST_PACKED_WEIGHT = 127;

  /** Packed results are multiplied by integers of at least this, so that scales meet well. */
  private static final int LEAST_MULTIPLIER = 16;

  /** What rounding packed weights may err, in turns; a second plane holds the rest of more. */
  private static final double MOST_PACKED_ERROR = 0.0005;

  /** Parts of a turn that matter. */
  private static final double RESOLUTION = 1 << 16;

  /** Bits of a multiplier or weight. */
  private static final int MOST_WEIGHT_BITS = 24;

  private static final double TURN = 0x1p64;

  /**
   * How integers are chosen.
   *
   * @param polynomialSize N, entries of a table
   * @param limbs bytes of the packed layer's modulus
   * @param scale of the row's integers
   * @param largestInteger of the row
   * @param weightBits of the weights that what each layer makes is multiplied by
   */
  record Precision(
      int polynomialSize, int limbs, double scale, int largestInteger, int[] weightBits) {}

  /**
   * Quantises a network.
   *
   * @param module its key, for messages
   * @throws InvalidInputException if its weights do not fit any message
   */
  static QuantisedNetwork of(String module, FittedNetwork network, Precision precision) {
    return new Builder(module, network, precision).build();
  }

  /** The norms of the packed weights. */
  WeightNorms norms(int inputs) {
    return WeightNorms.of(packedWeights, inputs, packedOutputs);
  }

  /** One row of a linear step. */
  private record Row(Combination combination, double turn, double centre) {}

  private static final class Builder {
    private final String module;
    private final FittedNetwork network;
    private final Precision precision;
    private final int inputs;

    /** The rows of each layer, then those of the outputs. */
    private final List<List<Row>> rows = new ArrayList<>();

    /** What a turn of each layer's table result is worth, in units of its arguments. */
    private final double[] tableTurns;

    /** What a turn of each atom is worth. */
    private final double[] atomTurns;

    Builder(String module, FittedNetwork network, Precision precision) {
      this.module = module;
      this.network = network;
      this.precision = precision;
      this.inputs = network.network().inputs();
      this.tableTurns = new double[network.layers().size()];
      this.atomTurns = new double[network.network().variables()];
      for (FittedNetwork.Layer layer : network.layers()) {
        List<Row> own = new ArrayList<>();
        for (int k = 0; k < layer.arguments().length; k++) {
          own.add(new Row(layer.arguments()[k], layer.turn(k), layer.centre(k)));
        }
        rows.add(own);
      }
      List<Row> last = new ArrayList<>();
      for (int j = 0; j < network.outputs().length; j++) {
        last.add(
            new Row(
                network.outputs()[j], 2 * network.outputHalves()[j], network.outputCentres()[j]));
      }
      rows.add(last);
    }

    QuantisedNetwork build() {
      chooseTableTurns();
      List<Packed> packed = packed();
      List<Row> all = rows.stream().flatMap(List::stream).toList();
      byte[] packedWeights = new byte[Math.multiplyExact(packed.size(), inputs)];
      List<List<Integer>> packedOf = new ArrayList<>();
      all.forEach(unused -> packedOf.add(new ArrayList<>()));
      for (int i = 0; i < packed.size(); i++) {
        System.arraycopy(packed.get(i).weights, 0, packedWeights, i * inputs, inputs);
        if (packed.get(i).row >= 0) {
          packedOf.get(packed.get(i).row).add(i);
        }
      }
      // Values: the packed layer's, then those of each step.
      int[] valueOf = new int[atomTurns.length];
      int next = packed.size();
      int row = 0;
      List<LookupStep> steps = new ArrayList<>();
      List<Double> reaches = new ArrayList<>();
      IntList wholeTurns = new IntList();
      for (int g = 0; g < rows.size(); g++) {
        int first = next;
        LinearStep linear = new LinearStep();
        for (Row own : rows.get(g)) {
          linear.add(own, packed, packedOf.get(row++), valueOf);
          next++;
        }
        steps.add(linear.step());
        if (g < network.layers().size()) {
          FittedNetwork.Layer layer = network.layers().get(g);
          int count = layer.arguments().length;
          steps.add(new LookupStep.Lookup(first, count, 1, 0, g));
          for (int k = 0; k < count; k++) {
            valueOf[layer.firstAtom() + k] = next++;
            reaches.add(layer.fit().range() / (2 * layer.fit().halfTurn()));
            wholeTurns.add(linear.wholeTurns(k));
          }
        }
      }
      List<Row> last = rows.get(rows.size() - 1);
      int[] outputs = new int[last.size()];
      for (int j = 0; j < outputs.length; j++) {
        outputs[j] = next - outputs.length + j;
      }
      return new QuantisedNetwork(
          packed.size(),
          packedWeights,
          messageBits,
          tables(),
          steps,
          new LookupRanges(
              reaches.stream().mapToDouble(Double::doubleValue).toArray(), wholeTurns.toArray()),
          outputs,
          last.stream().mapToDouble(Row::turn).toArray(),
          last.stream().mapToDouble(Row::centre).toArray());
    }

    /** As much of the torus for each table's results as the weights behind them leave. */
    private void chooseTableTurns() {
      double[] largest = new double[tableTurns.length];
      int[] layerOf = new int[atomTurns.length];
      double[] unitOf = new double[atomTurns.length];
      for (int g = 0; g < tableTurns.length; g++) {
        FittedNetwork.Layer layer = network.layers().get(g);
        for (int k = 0; k < layer.units().length; k++) {
          layerOf[layer.firstAtom() + k] = g;
          unitOf[layer.firstAtom() + k] = layer.units()[k];
        }
      }
      for (List<Row> some : rows) {
        for (Row row : some) {
          int[] variables = row.combination.variables();
          for (int i = 0; i < variables.length; i++) {
            int atom = variables[i];
            if (atom >= inputs) {
              double gain = Math.abs(row.combination.weights()[i]) * unitOf[atom] / row.turn;
              largest[layerOf[atom]] = Math.max(largest[layerOf[atom]], gain);
            }
          }
        }
      }
      for (int g = 0; g < tableTurns.length; g++) {
        double peak = 0;
        for (double entry : network.layers().get(g).fit().table(precision.polynomialSize())) {
          peak = Math.max(peak, Math.abs(entry));
        }
        double most = (1 << (precision.weightBits()[g] - 1)) - 1;
        double wanted = largest[g] == 0 ? 0 : most / largest[g];
        // Entries stay below half a turn.
        tableTurns[g] = Math.max(Math.max(wanted, 2.001 * peak), Float.MIN_NORMAL);
      }
      for (int atom = inputs; atom < atomTurns.length; atom++) {
        atomTurns[atom] = tableTurns[layerOf[atom]] * unitOf[atom];
      }
    }

    private List<long[]> tables() {
      List<long[]> tables = new ArrayList<>();
      for (int g = 0; g < tableTurns.length; g++) {
        double turn = tableTurns[g];
        tables.add(
            Arrays.stream(network.layers().get(g).fit().table(precision.polynomialSize()))
                .mapToLong(entry -> torus(entry / turn))
                .toArray());
      }
      return tables;
    }

    private int messageBits;

    /** A row of the packed layer: phase · multiplier · turn is a part of the combination. */
    private static final class Packed {
      final int row;
      final byte[] weights;
      final int multiplier;

      /** Weights that are all even are halved: a packed layer of such is refused. */
      static Packed of(int row, byte[] weights, int multiplier) {
        int any = 0;
        for (byte weight : weights) {
          any |= weight;
        }
        int halvings = any == 0 ? 0 : Integer.numberOfTrailingZeros(any);
        for (int i = 0; i < weights.length; i++) {
          weights[i] >>= halvings;
        }
        return new Packed(row, weights, multiplier << halvings);
      }

      private Packed(int row, byte[] weights, int multiplier) {
        this.row = row;
        this.weights = weights;
        this.multiplier = multiplier;
      }
    }

    private List<Packed> packed() {
      List<Row> all = rows.stream().flatMap(List::stream).toList();
      double[] quanta = new double[all.size()];
      double least = Double.POSITIVE_INFINITY;
      for (int r = 0; r < quanta.length; r++) {
        double largest = 0;
        Combination combination = all.get(r).combination;
        for (int i = 0; i < combination.variables().length; i++) {
          if (combination.variables()[i] < inputs) {
            largest = Math.max(largest, Math.abs(combination.weights()[i]));
          }
        }
        // Turns that an accumulator of 1 is worth.
        quanta[r] = largest * precision.scale() / LARGEST_PACKED_WEIGHT / all.get(r).turn;
        if (quanta[r] > 0) {
          least = Math.min(least, quanta[r]);
        }
      }
      int most = 8 * precision.limbs();
      int bits =
          least == Double.POSITIVE_INFINITY
              ? 2
              : (int) Math.ceil(Math.log(LEAST_MULTIPLIER / least) / Math.log(2));
      // Rows that hardly reach the torus need no more than what that resolves.
      double finest = RESOLUTION * precision.largestInteger() * Math.sqrt(inputs);
      bits = Math.min(bits, (int) Math.ceil(Math.log(finest) / Math.log(2)));
      for (messageBits = Math.max(2, Math.min(most, bits)); ; messageBits++) {
        List<Packed> packed = new ArrayList<>();
        long largestL1 = 1;
        for (int r = 0; r < quanta.length; r++) {
          if (quanta[r] > 0) {
            double multiplier = Math.ceil(quanta[r] * Math.pow(2, messageBits));
            if (multiplier >= 1 << MOST_WEIGHT_BITS) {
              throw tooUneven();
            }
            double scale =
                all.get(r).turn * multiplier / precision.scale() / Math.pow(2, messageBits);
            double[] left = packedPart(all.get(r).combination);
            byte[] weights = new byte[inputs];
            largestL1 = Math.max(largestL1, round(left, scale, weights));
            packed.add(Packed.of(r, weights, (int) multiplier));
            if (error(left) > MOST_PACKED_ERROR * all.get(r).turn && multiplier > 1) {
              // A second plane for what rounding left, as fine as the torus is cut.
              byte[] finer = new byte[inputs];
              double largest = Arrays.stream(left).map(Math::abs).max().orElse(0);
              double steps = Math.ceil(largest * multiplier / scale / LARGEST_PACKED_WEIGHT);
              largestL1 = Math.max(largestL1, round(left, scale * steps / multiplier, finer));
              packed.add(Packed.of(r, finer, (int) steps));
            }
          }
        }
        // No record's accumulators may leave their range: the client would coarsen its scale.
        if (largestL1 * precision.largestInteger() < 1L << (messageBits - 1)) {
          if (packed.isEmpty()) {
            byte[] unused = new byte[inputs];
            unused[0] = 1;
            packed.add(new Packed(-1, unused, 1));
          }
          return packed;
        }
        if (messageBits == most) {
          throw tooUneven();
        }
      }
    }

    /** The weights of a row's values. */
    private double[] packedPart(Combination combination) {
      double[] part = new double[inputs];
      for (int i = 0; i < combination.variables().length; i++) {
        if (combination.variables()[i] < inputs) {
          part[combination.variables()[i]] = combination.weights()[i];
        }
      }
      return part;
    }

    /** Rounds weights and leaves what that loses; returns the sum of magnitudes. */
    private static long round(double[] left, double scale, byte[] weights) {
      long l1 = 0;
      for (int i = 0; i < left.length; i++) {
        weights[i] = (byte) Math.rint(left[i] / scale);
        left[i] -= weights[i] * scale;
        l1 += Math.abs(weights[i]);
      }
      return l1;
    }

    /** Root mean square of what weights that are missing make, roughly. */
    private double error(double[] missing) {
      double square = 0;
      for (int i = 0; i < missing.length; i++) {
        square += missing[i] * missing[i] * network.inputSquares()[i];
      }
      return Math.sqrt(square);
    }

    private InvalidInputException tooUneven() {
      return new InvalidInputException(
          "module '"
              + module
              + "': its weights are too uneven for one scale; name smaller remote modules");
    }

    /** The integers of a linear step. */
    private final class LinearStep {
      private final List<Integer> ends = new ArrayList<>();
      private final IntList columns = new IntList();
      private final IntList weights = new IntList();
      private final List<Double> constants = new ArrayList<>();

      void add(Row row, List<Packed> packed, List<Integer> packedValues, int[] valueOf) {
        Combination combination = row.combination;
        // What rounding weights does to the mean.
        double drift = 0;
        double[] kept = new double[inputs];
        for (int value : packedValues) {
          Packed part = packed.get(value);
          columns.add(value);
          weights.add(part.multiplier);
          double unit = part.multiplier * row.turn / precision.scale() / Math.pow(2, messageBits);
          for (int i = 0; i < inputs; i++) {
            kept[i] += part.weights[i] * unit;
          }
        }
        for (int i = 0; i < combination.variables().length; i++) {
          int atom = combination.variables()[i];
          double weight = combination.weights()[i];
          double is;
          if (atom < inputs) {
            is = kept[atom];
          } else {
            double exact = weight * atomTurns[atom] / row.turn;
            double rounded = Math.rint(exact);
            if (Math.abs(rounded) >= 1 << MOST_WEIGHT_BITS) {
              throw tooUneven();
            }
            if (rounded != 0) {
              columns.add(valueOf[atom]);
              weights.add((int) rounded);
            }
            is = rounded * row.turn / atomTurns[atom];
          }
          drift += (is - weight) * network.means()[atom];
        }
        ends.add(columns.size());
        constants.add((combination.constant() - drift - row.centre) / row.turn);
      }

      /** Turns that the torus element of a row's constant leaves out. */
      int wholeTurns(int row) {
        double turns = constants.get(row);
        return (int) Math.rint(turns - torus(turns) / TURN);
      }

      LookupStep.Linear step() {
        return new LookupStep.Linear(
            ends.stream().mapToInt(Integer::intValue).toArray(),
            columns.toArray(),
            weights.toArray(),
            constants.stream().mapToLong(Builder::torus).toArray());
      }
    }

    private static long torus(double turns) {
      double fraction = turns - Math.rint(turns);
      return fraction == 0.5 ? Long.MIN_VALUE : (long) (fraction * TURN);
    }
  }

  /** Integers in a row. */
  private static final class IntList {
    private int[] values = new int[64];
    private int size;

    void add(int value) {
      if (size == values.length) {
        values = Arrays.copyOf(values, 2 * size);
      }
      values[size++] = value;
    }

    int size() {
      return size;
    }

    int[] toArray() {
      return Arrays.copyOf(values, size);
    }
  }
}
