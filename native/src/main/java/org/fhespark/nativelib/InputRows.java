package org.fhespark.nativelib;

import java.nio.ByteBuffer;

/**
 * The float records of a block, wherever they lie: rows of tables {@code [rows][d_in]}, or windows
 * of images. Buffers are direct and in native byte order, and stay reachable with this object.
 */
public final class InputRows {
  private static final int[] NO_UNFOLDING = {};

  private final RunList runs;
  private final int[] unfolding;
  private int count;

  private InputRows(int[] unfolding) {
    this.runs = new RunList();
    this.unfolding = unfolding;
  }

  /** Rows of tables, to be added. */
  public static InputRows ofTables() {
    return new InputRows(NO_UNFOLDING);
  }

  /** The first rows of one table. */
  public static InputRows ofTable(ByteBuffer table, int rows) {
    return ofTables().add(table, 0, 0, rows);
  }

  /** Windows of images, to be added. */
  public static InputRows ofWindows(ImageWindows windows) {
    return new InputRows(windows.fields());
  }

  /**
   * Adds rows that follow one another in a table, or windows that do in an image.
   *
   * @param buffer floats
   * @param offset floats before the table or the image
   * @param first first row of the table, or output position of the first window
   * @param rows their number
   */
  public InputRows add(ByteBuffer buffer, long offset, long first, int rows) {
    runs.add(runs.buffer(buffer), offset, first, rows);
    count = Math.addExact(count, rows);
    return this;
  }

  /** T: rows added so far. */
  public int count() {
    return count;
  }

  ByteBuffer[] buffers() {
    return runs.buffers();
  }

  long[] runs() {
    return runs.fields();
  }

  int[] unfolding() {
    return unfolding;
  }
}
