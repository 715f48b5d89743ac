package org.fhespark.compiler.quantize;

import java.nio.FloatBuffer;
import java.util.function.Consumer;
import org.fhespark.compiler.artifact.Unfolding;

/**
 * The rows that a convolution makes of a tensor, see {@link Unfolding}.
 *
 * @param unfolding how
 * @param shape of the tensor, {@code [batch, channels, spatial..]}
 */
public record Windows(Unfolding unfolding, long[] shape) {
  /** Windows that are looked at in one go; all others are like them. */
  private static final long SAMPLE = 1 << 13;

  /** Told of a row that stands for some. */
  @FunctionalInterface
  public interface SampleVisitor {
    /**
     * Is told of one row.
     *
     * @param row {@code [channels][kernel..]}, in a buffer that is reused
     * @param standsFor how many rows of the tensor, itself included
     */
    void accept(float[] row, double standsFor);
  }

  /** How many rows. */
  public long count() {
    long count = shape[0];
    for (int axis = 0; axis < unfolding.kernel().size(); axis++) {
      count *= unfolding.positions(axis, shape[axis + 2]);
    }
    return count;
  }

  /**
   * Visits some of the rows.
   *
   * @param values the tensor, row-major
   * @param step every how many-th row
   * @param visitor is given each row, {@code [channels][kernel..]}, in a buffer that is reused
   */
  public void forEach(FloatBuffer values, long step, Consumer<float[]> visitor) {
    float[] row = new float[unfolding.rowValues()];
    long count = count();
    for (long index = 0; index < count; index += step) {
      read(values, index, row);
      visitor.accept(row);
    }
  }

  /**
   * Visits all rows if there are few, else some thousands of them, spread evenly.
   *
   * @param values the tensor, row-major
   * @param visitor is given each row in a buffer that is reused
   */
  public void sample(FloatBuffer values, SampleVisitor visitor) {
    // Odd, so that it does not meet the same places of every image.
    long step = Math.max(1, count() / SAMPLE) | 1;
    double standsFor = count() / Math.ceil((double) count() / step);
    forEach(values, step, row -> visitor.accept(row, standsFor));
  }

  /**
   * Reads a row.
   *
   * @param index of the row, {@code [batch, position..]} row-major
   */
  public void read(FloatBuffer values, long index, float[] row) {
    int axes = unfolding.kernel().size();
    long[] start = new long[axes];
    long rest = index;
    for (int axis = axes - 1; axis >= 0; axis--) {
      long positions = unfolding.positions(axis, shape[axis + 2]);
      start[axis] =
          rest % positions * unfolding.strides().get(axis) - unfolding.padsBegin().get(axis);
      rest /= positions;
    }
    int perWindow = unfolding.rowValues() / unfolding.channels();
    int[] offset = new int[axes];
    for (int at = 0; at < row.length; at++) {
      long element = rest * unfolding.channels() + at / perWindow;
      int place = at % perWindow;
      for (int axis = axes - 1; axis >= 0; axis--) {
        offset[axis] = place % unfolding.kernel().get(axis);
        place /= unfolding.kernel().get(axis);
      }
      boolean inside = true;
      for (int axis = 0; axis < axes; axis++) {
        long coordinate = start[axis] + (long) offset[axis] * unfolding.dilations().get(axis);
        inside &= coordinate >= 0 && coordinate < shape[axis + 2];
        element = element * shape[axis + 2] + coordinate;
      }
      row[at] = inside ? values.get(values.position() + (int) element) : 0;
    }
  }
}
