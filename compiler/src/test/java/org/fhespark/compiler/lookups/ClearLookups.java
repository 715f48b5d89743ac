package org.fhespark.compiler.lookups;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.fhespark.nativelib.LookupStep;

/** A circuit with look-ups in clear, on phases; with noise if asked for. */
final class ClearLookups {
  private ClearLookups() {}

  /** Standard deviations in turns. */
  record Noise(double packed, double reading, double bootstrap, double sending) {
    static final Noise NONE = new Noise(0, 0, 0, 0);
  }

  /** Phases of the outputs, in units of 2^-64. */
  static long[] phases(QuantisedNetwork circuit, int[] row, Noise noise, Random random) {
    long[] values = new long[circuit.packedOutputs()];
    for (int j = 0; j < values.length; j++) {
      long sum = 0;
      double norm = 0;
      for (int i = 0; i < row.length; i++) {
        byte weight = circuit.packedWeights()[j * row.length + i];
        sum += (long) row[i] * weight;
        norm += weight * weight;
      }
      values[j] =
          (sum << (64 - circuit.messageBits())) + sample(random, noise.packed * Math.sqrt(norm));
    }
    for (LookupStep step : circuit.steps()) {
      if (step instanceof LookupStep.Linear linear) {
        values = linear(values, linear);
      } else if (step instanceof LookupStep.Lookup lookup) {
        long[] table = circuit.tables().get(lookup.table());
        int before = values.length;
        values = Arrays.copyOf(values, before + lookup.count());
        for (int i = 0; i < lookup.count(); i++) {
          long argument =
              values[lookup.first() + i] * lookup.factor()
                  + lookup.offset()
                  + sample(random, noise.reading);
          values[before + i] = read(table, argument) + sample(random, noise.bootstrap);
        }
      }
    }
    long[] phases = new long[circuit.outputs().length];
    for (int j = 0; j < phases.length; j++) {
      phases[j] = values[circuit.outputs()[j]] + sample(random, noise.sending);
    }
    return phases;
  }

  private static long[] linear(long[] values, LookupStep.Linear linear) {
    long[] longer = Arrays.copyOf(values, values.length + linear.ends().length);
    int at = 0;
    for (int row = 0; row < linear.ends().length; row++) {
      long sum = linear.constants()[row];
      for (; at < linear.ends()[row]; at++) {
        sum += values[linear.columns()[at]] * linear.weights()[at];
      }
      longer[values.length + row] = sum;
    }
    return longer;
  }

  private static long read(long[] table, long phase) {
    int log2 = Integer.numberOfTrailingZeros(2 * table.length);
    int index = (int) ((phase + (1L << (63 - log2))) >>> (64 - log2));
    return index < table.length ? table[index] : -table[index - table.length];
  }

  private static long sample(Random random, double deviation) {
    return deviation == 0 ? 0 : (long) (random.nextGaussian() * deviation * 0x1p64);
  }

  /** Outputs of a row. */
  static double[] outputs(
      QuantisedNetwork circuit,
      float[] row,
      QuantisedNetwork.Precision precision,
      Noise noise,
      Random random) {
    int[] integers = new int[row.length];
    int most = precision.largestInteger();
    for (int i = 0; i < row.length; i++) {
      integers[i] = (int) Math.max(-most, Math.min(most, Math.rint(row[i] / precision.scale())));
    }
    long[] phases = phases(circuit, integers, noise, random);
    double[] outputs = new double[phases.length];
    for (int j = 0; j < outputs.length; j++) {
      outputs[j] = phases[j] * 0x1p-64 * circuit.outputScales()[j] + circuit.outputBias()[j];
    }
    return outputs;
  }

  static List<Integer> argMax(List<double[]> rows) {
    return rows.stream()
        .map(
            row -> {
              int best = 0;
              for (int j = 1; j < row.length; j++) {
                best = row[j] > row[best] ? j : best;
              }
              return best;
            })
        .toList();
  }
}
