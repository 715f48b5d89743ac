package org.fhespark.nativelib;

import java.nio.ByteBuffer;

/**
 * Where the floats of a block's outputs go: for each of some tensors its share of the columns, for
 * all rows of the block. Buffers are direct and in native byte order, and stay reachable with this
 * object. No place may be given twice, and none to two calls at a time.
 */
public final class OutputRows {
  private final int[] columns;
  private final RunList runs = new RunList();
  private int lastTensor;

  /**
   * @param columns columns of each tensor, which together are the circuit's outputs in order
   */
  public OutputRows(int... columns) {
    this.columns = columns.clone();
  }

  /** One table {@code [rows][columns]}. */
  public static OutputRows ofTable(ByteBuffer table, int rows, int columns) {
    return new OutputRows(columns).addRows(0, table, 0, rows);
  }

  /**
   * Adds rows that follow one another in a table {@code [rows][columns]}.
   *
   * @param tensor which tensor, in ascending order
   * @param buffer floats
   * @param offset floats before the first of these rows
   * @param rows their number
   */
  public OutputRows addRows(int tensor, ByteBuffer buffer, long offset, int rows) {
    return add(tensor, buffer, offset, rows, columns[tensor], 1);
  }

  /**
   * Adds positions that follow one another in an image {@code [columns][positions]}.
   *
   * @param tensor which tensor, in ascending order
   * @param buffer floats
   * @param offset floats before the first of these positions in the first column
   * @param rows their number
   * @param positions of the image
   */
  public OutputRows addPositions(
      int tensor, ByteBuffer buffer, long offset, int rows, long positions) {
    // With one position an image is a row.
    return positions == 1
        ? addRows(tensor, buffer, offset, rows)
        : add(tensor, buffer, offset, rows, 1, positions);
  }

  private OutputRows add(
      int tensor, ByteBuffer buffer, long offset, int rows, long rowStride, long columnStride) {
    if (tensor < lastTensor) {
      throw new IllegalArgumentException("tensor " + tensor + " after tensor " + lastTensor);
    }
    lastTensor = tensor;
    runs.add(tensor, runs.buffer(buffer), offset, rows, rowStride, columnStride);
    return this;
  }

  int[] columns() {
    return columns;
  }

  ByteBuffer[] buffers() {
    return runs.buffers();
  }

  long[] runs() {
    return runs.fields();
  }
}
