package org.fhespark.compiler.lookups;

import java.util.Arrays;

/**
 * How the input of a region is cut into rows that are computed apart.
 *
 * @param wholeRecords whether a row is a record, or else the last axis
 * @param axes of the input, without the batch axis
 */
record RowLayout(boolean wholeRecords, long[] axes) {
  /** Values of a row. */
  int width() {
    return Math.toIntExact(wholeRecords ? product(axes.length) : axes[axes.length - 1]);
  }

  /** Rows of a record. */
  int rowsPerRecord() {
    return Math.toIntExact(wholeRecords ? 1 : product(axes.length - 1));
  }

  /** The input's shape for so many records. */
  long[] shape(int records) {
    long[] shape = new long[axes.length + 1];
    shape[0] = records;
    System.arraycopy(axes, 0, shape, 1, axes.length);
    return shape;
  }

  private long product(int count) {
    return Arrays.stream(axes).limit(count).reduce(1, Math::multiplyExact);
  }
}
