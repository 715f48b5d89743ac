package org.fhespark.compiler.lookups;

/** A function of single values. */
public interface ValueFunction {
  /** max(x, 0). */
  ValueFunction RELU =
      values -> {
        float[] results = new float[values.length];
        for (int i = 0; i < values.length; i++) {
          results[i] = Math.max(values[i], 0);
        }
        return results;
      };

  /** Its value at each of some arguments. */
  float[] apply(float[] arguments);

  /** Its value at each of some arguments. */
  default double[] apply(double[] arguments) {
    float[] floats = new float[arguments.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) arguments[i];
    }
    float[] results = apply(floats);
    double[] widened = new double[results.length];
    for (int i = 0; i < results.length; i++) {
      widened[i] = results[i];
    }
    return widened;
  }
}
