package org.fhespark.jobs.client;

import java.util.List;
import java.util.function.Function;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.Unfolding;
import org.fhespark.nativelib.ImageWindows;
import org.fhespark.nativelib.ImageWindows.Plane;

/**
 * A convolution's windows as rows: input {@code [batch, channels, spatial..]} with one or two
 * spatial axes, rows in order {@code [batch, position..]}, output {@code [batch, columns,
 * position..]}.
 */
final class Convolution {
  private final Unfolding unfolding;
  private final int axes;

  /**
   * @throws InvalidInputException if it has more than two spatial axes
   */
  Convolution(Unfolding unfolding) {
    this.unfolding = unfolding;
    this.axes = unfolding.kernel().size();
    if (axes < 1 || axes > 2) {
      throw new InvalidInputException(
          "client.json: a convolution with "
              + axes
              + " spatial axes, 1 or 2 can be remote; compile the model with it in clear");
    }
  }

  /** Told of windows of one image that follow one another. */
  @FunctionalInterface
  interface ImageRuns {
    void accept(long image, long first, int count);
  }

  /** Checks the shape of an input; {@code refusal} makes the error of what was expected. */
  void requireFits(long[] shape, Function<String, InvalidInputException> refusal) {
    if (shape.length != axes + 2 || shape[1] != unfolding.channels()) {
      throw refusal.apply(
          "of shape [batch, " + unfolding.channels() + "] and " + axes + " spatial axes");
    }
    for (int axis = 0; axis < axes; axis++) {
      if (unfolding.positions(axis, shape[axis + 2]) < 1) {
        throw refusal.apply("that a window of " + unfolding.kernel() + " fits");
      }
    }
  }

  /** Windows of one image. */
  long positions(long[] shape) {
    long positions = 1;
    for (int axis = 0; axis < axes; axis++) {
      positions *= unfolding.positions(axis, shape[axis + 2]);
    }
    return positions;
  }

  /** Windows of all images. */
  long rows(long[] shape) {
    return Math.multiplyExact(shape[0], positions(shape));
  }

  long[] outputShape(long[] shape, int columns) {
    long[] output = shape.clone();
    output[1] = columns;
    for (int axis = 0; axis < axes; axis++) {
      output[axis + 2] = unfolding.positions(axis, shape[axis + 2]);
    }
    return output;
  }

  /** Cuts rows by images. */
  void forEachImage(long[] shape, RowBlock.Run run, ImageRuns runs) {
    long positions = positions(shape);
    long row = run.first();
    long end = row + run.rows();
    while (row < end) {
      long first = row % positions;
      int count = (int) Math.min(end - row, positions - first);
      runs.accept(row / positions, first, count);
      row += count;
    }
  }

  /** How the windows are cut from images of a shape; signals are images of one row. */
  ImageWindows windows(long[] shape) {
    int height = axes == 2 ? Math.toIntExact(shape[2]) : 1;
    return new ImageWindows(
        unfolding.channels(),
        new Plane(height, Math.toIntExact(shape[axes + 1])),
        plane(unfolding.kernel(), 1),
        plane(unfolding.strides(), 1),
        plane(unfolding.padsBegin(), 0),
        plane(unfolding.padsEnd(), 0),
        plane(unfolding.dilations(), 1));
  }

  private Plane plane(List<Integer> lengths, int ofSignals) {
    return new Plane(axes == 2 ? lengths.get(0) : ofSignals, lengths.get(axes - 1));
  }
}
