package org.fhespark.compiler.lookups;

import java.util.Arrays;

/**
 * A sum of variables times weights, and a constant.
 *
 * @param variables numbers of variables, ascending
 * @param weights of each
 * @param constant added
 */
public record Combination(int[] variables, double[] weights, double constant) {

  /** One variable, alone. */
  static Combination of(int variable) {
    return new Combination(new int[] {variable}, new double[] {1}, 0);
  }

  /** Its value of so many samples. */
  float[] evaluate(float[][] values, int samples) {
    double[] sums = new double[samples];
    Arrays.fill(sums, constant);
    for (int i = 0; i < variables.length; i++) {
      float[] value = values[variables[i]];
      double weight = weights[i];
      for (int t = 0; t < samples; t++) {
        sums[t] += weight * value[t];
      }
    }
    float[] rounded = new float[samples];
    for (int t = 0; t < samples; t++) {
      rounded[t] = (float) sums[t];
    }
    return rounded;
  }

  /** Adds up combinations. */
  static final class Sum {
    /** Relative to the largest weight: what is left where weights cancel. */
    private static final double ROUNDING = 1e-9;

    private double[] weights;
    private int[] touched = new int[16];
    private boolean[] isTouched;
    private int count;
    private double constant;

    Sum(int variables) {
      this.weights = new double[variables];
      this.isTouched = new boolean[variables];
    }

    void add(double constantTerm) {
      constant += constantTerm;
    }

    void add(int variable, double weight) {
      if (variable >= weights.length) {
        int length = Math.max(variable + 1, 2 * weights.length);
        weights = Arrays.copyOf(weights, length);
        isTouched = Arrays.copyOf(isTouched, length);
      }
      if (!isTouched[variable]) {
        isTouched[variable] = true;
        if (count == touched.length) {
          touched = Arrays.copyOf(touched, 2 * count);
        }
        touched[count++] = variable;
      }
      weights[variable] += weight;
    }

    void add(double factor, Combination term) {
      constant += factor * term.constant;
      for (int i = 0; i < term.variables.length; i++) {
        add(term.variables[i], factor * term.weights[i]);
      }
    }

    /** The sum; afterwards it is zero again. */
    Combination take() {
      Arrays.sort(touched, 0, count);
      double largest = 0;
      for (int i = 0; i < count; i++) {
        largest = Math.max(largest, Math.abs(weights[touched[i]]));
      }
      int[] kept = new int[count];
      double[] values = new double[count];
      int length = 0;
      for (int i = 0; i < count; i++) {
        int variable = touched[i];
        if (Math.abs(weights[variable]) > ROUNDING * largest) {
          kept[length] = variable;
          values[length++] = weights[variable];
        }
        weights[variable] = 0;
        isTouched[variable] = false;
      }
      Combination sum =
          new Combination(Arrays.copyOf(kept, length), Arrays.copyOf(values, length), constant);
      count = 0;
      constant = 0;
      return sum;
    }
  }
}
