package org.fhespark.compiler.affine;

import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/**
 * The map y = W·x + b of one row. W and b are computed whenever they are asked for and never kept:
 * those of a large model fill its memory.
 */
public final class AffineMap {
  private final int dIn;
  private final int dOut;
  private final Supplier<float[]> weights;
  private final Supplier<double[]> shift;
  private final IntegerWeights integers;
  private final Set<String> weightTensors;

  /**
   * A map.
   *
   * @param weights W, {@code [dOut][dIn]} row-major
   * @param shift b, {@code [dOut]}; null if there is none
   * @param integers W as the model's own integers; null if it has none
   * @param weightTensors the constants that W is made of
   */
  private AffineMap(
      int dIn,
      int dOut,
      Supplier<float[]> weights,
      Supplier<double[]> shift,
      IntegerWeights integers,
      Set<String> weightTensors) {
    this.dIn = dIn;
    this.dOut = dOut;
    this.weights = weights;
    this.shift = shift;
    this.integers = integers;
    this.weightTensors = Set.copyOf(weightTensors);
  }

  /**
   * A map without shift.
   *
   * @param weights W, {@code [dOut][dIn]} row-major
   * @param integers W as the model's own integers, if it has them
   * @param tensor the constant that holds W
   */
  static AffineMap product(
      int dIn,
      int dOut,
      Supplier<float[]> weights,
      Optional<IntegerWeights> integers,
      String tensor) {
    return new AffineMap(dIn, dOut, weights, null, integers.orElse(null), Set.of(tensor));
  }

  /** The map that multiplies and shifts each of {@code width} values by itself. */
  static AffineMap diagonal(int width, ChannelVector scale, ChannelVector shift) {
    return new AffineMap(
        width,
        width,
        () -> {
          float[] matrix = new float[width * width];
          for (int i = 0; i < width; i++) {
            matrix[i * width + i] = (float) scale.at(i);
          }
          return matrix;
        },
        shift.isZero() ? null : () -> shift.expanded(width),
        null,
        Set.of());
  }

  /** Values of a row that it reads. */
  public int dIn() {
    return dIn;
  }

  /** Values of a row that it makes. */
  public int dOut() {
    return dOut;
  }

  /** W, {@code [dOut][dIn]} row-major, computed anew. */
  public float[] weights() {
    return weights.get();
  }

  /** b, {@code [dOut]}. */
  public Optional<float[]> bias() {
    return Optional.ofNullable(shift)
        .map(
            lazy -> {
              double[] exact = lazy.get();
              float[] rounded = new float[exact.length];
              for (int j = 0; j < exact.length; j++) {
                rounded[j] = (float) exact[j];
              }
              return rounded;
            });
  }

  boolean hasShift() {
    return shift != null;
  }

  /** W as integers and scales that the model itself has, if it was trained with quantisation. */
  public Optional<IntegerWeights> integers() {
    return Optional.ofNullable(integers);
  }

  /** The constants that W is made of, which must not reach the client. */
  public Set<String> weightTensors() {
    return weightTensors;
  }

  /** Each output multiplied by a number. */
  AffineMap scaled(ChannelVector factor) {
    return new AffineMap(
        dIn,
        dOut,
        () -> {
          float[] matrix = weights.get();
          for (int j = 0; j < dOut; j++) {
            double f = factor.at(j);
            for (int i = 0; i < dIn; i++) {
              matrix[j * dIn + i] = (float) (f * matrix[j * dIn + i]);
            }
          }
          return matrix;
        },
        shift == null
            ? null
            : () -> {
              double[] b = shift.get();
              for (int j = 0; j < dOut; j++) {
                b[j] *= factor.at(j);
              }
              return b;
            },
        integers == null ? null : integers.scaled(factor).orElse(null),
        weightTensors);
  }

  /** A number added to each output. */
  AffineMap shifted(ChannelVector addend) {
    return new AffineMap(
        dIn,
        dOut,
        weights,
        () -> {
          double[] b = shift == null ? new double[dOut] : shift.get();
          for (int j = 0; j < dOut; j++) {
            b[j] += addend.at(j);
          }
          return b;
        },
        integers,
        weightTensors);
  }

  /** The sum of two maps of the same shape. */
  AffineMap plus(AffineMap other) {
    return new AffineMap(
        dIn,
        dOut,
        () -> {
          float[] sum = weights.get();
          float[] addend = other.weights.get();
          for (int i = 0; i < sum.length; i++) {
            sum[i] += addend[i];
          }
          return sum;
        },
        shift == null && other.shift == null
            ? null
            : () -> {
              double[] sum = shift == null ? new double[dOut] : shift.get();
              if (other.shift != null) {
                double[] addend = other.shift.get();
                for (int j = 0; j < dOut; j++) {
                  sum[j] += addend[j];
                }
              }
              return sum;
            },
        null,
        union(weightTensors, other.weightTensors));
  }

  /**
   * This map after another one, which is applied to each of a window's positions.
   *
   * @param inner maps {@code [inner.dIn]} to {@code [channels]}
   * @param positions of a window; this map's rows are {@code [channels][positions]}
   * @return rows are {@code [inner.dIn][positions]}
   */
  AffineMap after(AffineMap inner, int positions) {
    int channels = inner.dOut;
    int width = inner.dIn * positions;
    return new AffineMap(
        width,
        dOut,
        () -> {
          float[] outer = weights.get();
          float[] first = inner.weights.get();
          float[] matrix = new float[Math.multiplyExact(dOut, width)];
          double[] row = new double[width];
          for (int j = 0; j < dOut; j++) {
            java.util.Arrays.fill(row, 0);
            for (int c = 0; c < channels; c++) {
              for (int p = 0; p < positions; p++) {
                double w = outer[j * dIn + c * positions + p];
                if (w != 0) {
                  for (int i = 0; i < inner.dIn; i++) {
                    row[i * positions + p] += w * first[c * inner.dIn + i];
                  }
                }
              }
            }
            for (int i = 0; i < width; i++) {
              matrix[j * width + i] = (float) row[i];
            }
          }
          return matrix;
        },
        inner.shift == null ? shift : () -> shiftThrough(inner.shift.get(), positions),
        null,
        union(weightTensors, inner.weightTensors));
  }

  /**
   * This map after each input channel is multiplied and shifted.
   *
   * @param positions of a window; rows are {@code [channels][positions]}
   */
  AffineMap after(ChannelVector scale, ChannelVector channelShift, int positions) {
    AffineMap scaled =
        scale.isOne()
            ? this
            : new AffineMap(
                dIn,
                dOut,
                () -> {
                  float[] matrix = weights.get();
                  for (int at = 0; at < matrix.length; at++) {
                    matrix[at] = (float) (matrix[at] * scale.at(at % dIn / positions));
                  }
                  return matrix;
                },
                shift,
                integers == null || !scale.isUniform() ? null : integers.scaled(scale).orElse(null),
                weightTensors);
    if (channelShift.isZero()) {
      return scaled;
    }
    return new AffineMap(
        dIn,
        dOut,
        scaled.weights,
        () -> shiftThrough(channelShift.expanded(dIn / positions), positions),
        scaled.integers,
        weightTensors);
  }

  private double[] shiftThrough(double[] channelShift, int positions) {
    float[] matrix = weights.get();
    double[] b = shift == null ? new double[dOut] : shift.get();
    for (int j = 0; j < dOut; j++) {
      for (int i = 0; i < dIn; i++) {
        b[j] += matrix[j * dIn + i] * channelShift[i / positions];
      }
    }
    return b;
  }

  private static Set<String> union(Set<String> a, Set<String> b) {
    Set<String> union = new LinkedHashSet<>(a);
    union.addAll(b);
    return union;
  }
}
