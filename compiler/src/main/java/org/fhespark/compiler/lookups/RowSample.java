package org.fhespark.compiler.lookups;

import ai.onnxruntime.OnnxTensor;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.IntPredicate;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.lookups.FloatPart.Values;
import org.fhespark.compiler.onnx.OnnxModel;

/** Rows that a region reads in calibration data: some of them, and what is known of all. */
public final class RowSample {
  /** Rows that are kept, unless they are long; all others are like them. */
  private static final int MOST_ROWS = 4096;

  /** What is kept may take. */
  private static final long MOST_BYTES = 128L << 20;

  /** Of the largest magnitude: what float32 makes of one sum in another order. */
  private static final double ROUNDING = 1e-4;

  private final OnnxModel model;
  private final LookupRegion region;
  private final SplittableRandom random = new SplittableRandom(1);
  private final List<float[]> rows = new ArrayList<>();
  private RowLayout layout;
  private long count;
  private float maxAbs;

  /**
   * Of no rows yet.
   *
   * @param region of that model
   */
  public RowSample(OnnxModel model, LookupRegion region) {
    this.model = model;
    this.region = region;
  }

  /**
   * Looks at the region's input for some records.
   *
   * @throws InvalidInputException if a value is not finite, or records are not alike in shape where
   *     the region reads whole ones
   */
  public void add(OnnxTensor tensor) {
    add(tensor, row -> true);
  }

  /**
   * The same of the rows that are no padding.
   *
   * @param real whether they are not, a row; the region must read rows
   */
  public void addReal(OnnxTensor tensor, boolean[] real) {
    add(tensor, row -> real[row]);
  }

  /** Whether the region computes the last axis of its input row by row. */
  public boolean readsRows(OnnxTensor tensor) {
    decideLayout(tensor, floats(tensor));
    return !layout.wholeRecords();
  }

  private FloatBuffer floats(OnnxTensor tensor) {
    FloatBuffer values = tensor.getFloatBuffer();
    if (values == null) {
      throw new InvalidInputException(
          model.file()
              + ": tensor '"
              + region.input()
              + "' is "
              + tensor.getInfo().type
              + "; only float32 can be encrypted");
    }
    return values;
  }

  private void decideLayout(OnnxTensor tensor, FloatBuffer values) {
    if (layout == null) {
      layout = layout(tensor.getInfo().getShape(), values.duplicate());
    }
  }

  private void add(OnnxTensor tensor, IntPredicate counts) {
    FloatBuffer values = floats(tensor);
    decideLayout(tensor, values);
    long[] shape = tensor.getInfo().getShape();
    long[] axes = Arrays.copyOfRange(shape, 1, shape.length);
    boolean fits =
        layout.wholeRecords()
            ? Arrays.equals(axes, layout.axes())
            : axes[axes.length - 1] == layout.width();
    if (!fits) {
      throw new InvalidInputException(
          "calibration data: tensor '"
              + region.input()
              + "' has shape "
              + Arrays.toString(shape)
              + " for some records and "
              + Arrays.toString(layout.shape(-1))
              + " for others, and the remote part that reads it takes whole records; give records"
              + " of one shape, or name smaller remote modules");
    }
    int width = layout.width();
    for (int number = 0; values.remaining() >= width; number++) {
      float[] row = new float[width];
      values.get(row);
      if (!counts.test(number)) {
        continue;
      }
      for (float value : row) {
        if (!Float.isFinite(value)) {
          throw new InvalidInputException(
              "calibration data: tensor '"
                  + region.input()
                  + "' holds "
                  + value
                  + "; give records without it");
        }
        maxAbs = Math.max(maxAbs, Math.abs(value));
      }
      keep(row);
    }
  }

  /** Each row has the same chance to be kept. */
  private void keep(float[] row) {
    count++;
    long most = Math.min(MOST_ROWS, MOST_BYTES / ((long) Float.BYTES * row.length));
    if (rows.size() < most) {
      rows.add(row);
    } else {
      long place = random.nextLong(count);
      if (place < most) {
        rows.set((int) place, row);
      }
    }
  }

  /** Whether the last axis is computed row by row, or whole records are. */
  private RowLayout layout(long[] shape, FloatBuffer values) {
    long[] axes = Arrays.copyOfRange(shape, 1, shape.length);
    if (shape.length < 2) {
      throw new InvalidInputException(
          model.file()
              + ": tensor '"
              + region.input()
              + "' has shape "
              + Arrays.toString(shape)
              + ", a remote part reads rows of several values; keep it in clear");
    }
    RowLayout byRows = new RowLayout(false, axes);
    return shape.length == 2 || isComputedByRows(byRows, values)
        ? byRows
        : new RowLayout(true, axes);
  }

  /** Tries on two records whether a row's result depends on it alone, and on its place. */
  private boolean isComputedByRows(RowLayout byRows, FloatBuffer values) {
    int width = byRows.width();
    int rowCount = 2 * byRows.rowsPerRecord();
    float[] some = new float[rowCount * width];
    for (int i = 0; i < some.length; i++) {
      // Noise beside real values: no two rows are alike.
      some[i] =
          values.get(values.position() + i % values.remaining())
              + (float) random.nextDouble(-0.5, 0.5);
    }
    float[] changed = some.clone();
    System.arraycopy(some, (rowCount - 1) * width, changed, 0, width);
    try (FloatPart part =
        FloatPart.of(model, Set.of(region.input()), List.of(region.output()), true)) {
      long[] shape = byRows.shape(2);
      Values before =
          part.run(Map.of(region.input(), new Values(shape, some))).get(region.output());
      Values after =
          part.run(Map.of(region.input(), new Values(shape, changed))).get(region.output());
      long[] made = before.shape();
      int last = shape.length - 1;
      if (made.length != shape.length
          || !Arrays.equals(Arrays.copyOf(made, last), Arrays.copyOf(shape, last))) {
        return false;
      }
      int outputs = (int) made[last];
      double largest = 0;
      for (float value : before.values()) {
        largest = Math.max(largest, Math.abs(value));
      }
      for (int i = 0; i < after.values().length; i++) {
        float expected = before.values()[i < outputs ? (rowCount - 1) * outputs + i : i];
        if (!(Math.abs(after.values()[i] - expected) <= ROUNDING * largest)) {
          return false;
        }
      }
      return true;
    }
  }

  /** How the input is cut into rows. */
  RowLayout layout() {
    return layout;
  }

  /** The axes of a record, if rows are whole records; empty otherwise. */
  public List<Long> recordShape() {
    return layout.wholeRecords() ? Arrays.stream(layout.axes()).boxed().toList() : List.of();
  }

  /** Some rows, {@code [row][width]}. */
  public float[][] rows() {
    return rows.toArray(float[][]::new);
  }

  /** Rows that there were. */
  public long count() {
    return count;
  }

  /** The largest magnitude of all values. */
  public float maxAbs() {
    return maxAbs;
  }
}
