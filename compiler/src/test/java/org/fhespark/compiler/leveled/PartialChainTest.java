package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.fhespark.compiler.lookups.Network;
import org.fhespark.nativelib.LeveledActivation;
import org.fhespark.nativelib.LeveledActivation.Form;
import org.fhespark.nativelib.LeveledLayer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Chains in integers and polynomials: what they compute, and that no record leaves their ranges.
 */
class PartialChainTest {
  private static final int[][] WIDTHS = {{12, 20, 5}, {16, 40, 24, 6}, {8, 12, 16, 12, 3}};

  /** A chain and the ball it is made for. */
  private record Made(Network network, float[][] rows, RecordBall ball, PartialChain.Whole whole) {
    static Made of(DoubleUnaryOperator activation, Form form, int degree, int[] widths)
        throws NotLeveledException {
      Network network = RandomNetwork.chain(7, activation, widths);
      float[][] rows = RandomNetwork.rows(8, 600, widths[0]);
      RecordBall ball = RecordBall.of(rows, 0.5);
      PartialChain chain = PartialChain.start(DenseChain.of(network), ball, rows);
      for (int g = 0; g < network.layers().size(); g++) {
        chain = chain.then(form, degree);
      }
      return new Made(network, rows, ball, chain.finish());
    }

    List<double[]> values(double[] record) {
      return ClearChain.values(whole.layers(), whole.activations(), record);
    }

    double[] onTheSurface(double[] direction) {
      double length = ball.radius() / RecordBall.norm(direction);
      return Arrays.stream(direction).map(value -> value * length).toArray();
    }

    /** Climbs from a record along the gradient of one value, on the surface. */
    double[] climb(double[] from, int layer, int value, int sign) {
      double[] record = from;
      double reached = sign * values(record).get(layer)[value];
      double step = ball.radius() / 4;
      for (int round = 0; round < 30; round++) {
        double[] gradient = new double[record.length];
        for (int j = 0; j < record.length; j++) {
          double[] moved = record.clone();
          moved[j] += 1e-5 * ball.radius();
          gradient[j] = sign * values(moved).get(layer)[value] - reached;
        }
        double length = RecordBall.norm(gradient);
        double[] next = record.clone();
        for (int j = 0; j < next.length; j++) {
          next[j] += length == 0 ? 0 : step * gradient[j] / length;
        }
        next = onTheSurface(next);
        double found = sign * values(next).get(layer)[value];
        if (found > reached) {
          record = next;
          reached = found;
        } else {
          step /= 2;
        }
      }
      return record;
    }
  }

  private static double[] gaussian(Random random, int length) {
    return random.doubles(length).map(u -> random.nextGaussian()).toArray();
  }

  private static DoubleUnaryOperator function(String name) {
    return switch (name) {
      case "relu" -> RandomNetwork.RELU;
      case "silu" -> RandomNetwork.SILU;
      default -> RandomNetwork.SIGMOID;
    };
  }

  @ParameterizedTest
  @CsvSource({
    "relu, EVEN, 3",
    "relu, EVEN, 15",
    "relu, GENERAL, 3",
    "relu, GENERAL, 31",
    "silu, EVEN, 7",
    "silu, GENERAL, 15",
    "sigmoid, GENERAL, 7",
    "sigmoid, GENERAL, 63",
  })
  void noRecordOfTheBallTakesAValueOutOfItsRange(String name, Form form, int degree)
      throws NotLeveledException {
    for (int[] widths : WIDTHS) {
      Made made = Made.of(function(name), form, degree, widths);
      Random random = new Random(9);
      int layers = made.whole.layers().size();
      double[] largest = new double[layers];
      for (int trial = 0; trial < 2000; trial++) {
        // Some with few values that are not zero: corners.
        double[] direction = gaussian(random, widths[0]);
        if (trial % 2 == 0) {
          for (int j = 0; j < direction.length; j++) {
            direction[j] = random.nextInt(3) == 0 ? Math.signum(direction[j]) : 0;
          }
          direction[trial % direction.length] = 1;
        }
        see(made.values(made.onTheSurface(direction)), largest);
      }
      for (int layer = 0; layer < layers; layer++) {
        for (int value = 0; value < made.whole.layers().get(layer).outputs(); value += 3) {
          for (int sign : new int[] {-1, 1}) {
            double[] start = made.onTheSurface(gaussian(random, widths[0]));
            see(made.values(made.climb(start, layer, value, sign)), largest);
          }
        }
      }
      for (int layer = 0; layer < layers; layer++) {
        String what = "layer " + layer + " of " + layers + " reaches " + largest[layer];
        assertTrue(largest[layer] <= PartialChain.MOST, what);
        // Ranges that nothing comes near are no bounds worth having.
        assertTrue(largest[layer] >= (layer == 0 ? 0.95 : layer == 1 ? 0.35 : 0.08), what);
      }
    }
  }

  private static void see(List<double[]> values, double[] largest) {
    for (int layer = 0; layer < largest.length; layer++) {
      for (double value : values.get(layer)) {
        largest[layer] = Math.max(largest[layer], Math.abs(value));
      }
    }
  }

  @Test
  void activationsStayBetweenMinusOneAndOneOverTheirWholeRange() throws NotLeveledException {
    for (Form form : Form.values()) {
      Made made = Made.of(RandomNetwork.RELU, form, 7, WIDTHS[1]);
      for (LeveledActivation activation : made.whole.activations()) {
        LeveledLayer identity = identity(activation.neurons());
        double largest = 0;
        for (double u = -1; u <= 1; u += 1.0 / 512) {
          double[] arguments = new double[activation.neurons()];
          Arrays.fill(arguments, u);
          double[] values =
              ClearChain.values(List.of(identity, identity), List.of(activation), arguments).get(1);
          largest = Math.max(largest, Arrays.stream(values).map(Math::abs).max().orElseThrow());
        }
        assertTrue(largest <= 1 && largest > 0.98, "" + largest);
      }
    }
  }

  private static LeveledLayer identity(int width) {
    byte[] weights = new byte[width * width];
    double[] ones = new double[width];
    for (int i = 0; i < width; i++) {
      weights[i * width + i] = 1;
      ones[i] = 1;
    }
    return new LeveledLayer(width, weights, ones, new double[width]);
  }

  @Test
  void theFirstLayerHasOneMultiplier() throws NotLeveledException {
    LeveledLayer first = Made.of(RandomNetwork.RELU, Form.EVEN, 7, WIDTHS[0]).whole.layers().get(0);
    assertEquals(1, Arrays.stream(first.multipliers()).distinct().count());
    int largest = 0;
    for (byte weight : first.weights()) {
      largest = Math.max(largest, Math.abs(weight));
    }
    assertEquals(127, largest);
  }

  @Test
  void outputsAreNearTheFloatNetworks() throws NotLeveledException {
    for (int[] widths : WIDTHS) {
      for (Form form : Form.values()) {
        Made made = Made.of(RandomNetwork.SILU, form, 15, widths);
        float[][] exact = made.network.evaluate(made.rows).outputs();
        double[][] found = new double[made.rows.length][];
        for (int t = 0; t < found.length; t++) {
          List<double[]> values = made.values(made.ball.normalise(made.rows[t]));
          found[t] = values.get(values.size() - 1);
          for (int i = 0; i < found[t].length; i++) {
            found[t][i] *= made.whole.outputRanges()[i];
          }
        }
        double error = new ErrorMeasure(exact).of(found);
        assertTrue(error < 0.05, form + " errs by " + error);
        assertArrayEquals(found[4], made.whole.heldOut()[1], 1e-9);
      }
    }
  }

  @Test
  void aFunctionThatIsNotFiniteOverItsRangeIsRefused() throws NotLeveledException {
    Network network = RandomNetwork.chain(1, x -> Math.log(x + 4), 6, 8, 2);
    float[][] rows = RandomNetwork.rows(2, 100, 6);
    PartialChain chain = PartialChain.start(DenseChain.of(network), RecordBall.of(rows, 0), rows);
    String reason =
        assertThrows(NotLeveledException.class, () -> chain.then(Form.GENERAL, 7)).getMessage();
    assertTrue(reason.contains("'layer1' is not finite"), reason);
  }
}
