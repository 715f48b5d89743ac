package org.fhespark.jobs.client;

import java.nio.ByteBuffer;

/**
 * The model's input, {@code [batch, sequence]}, that is 0 where a sequence is padded.
 *
 * @param input its name
 */
record PaddingMask(String input) {

  /** Told of positions that follow one another. */
  @FunctionalInterface
  interface Runs {
    void accept(int first, int count);
  }

  /** The positions, of all of the batch in order, at which the mask is not 0. */
  void forEachRun(Tensor mask, Runs runs) {
    int start = -1;
    int positions = mask.elements();
    for (int position = 0; position < positions; position++) {
      boolean isKept = isKept(mask, position);
      if (isKept && start < 0) {
        start = position;
      }
      if (!isKept && start >= 0) {
        runs.accept(start, position - start);
        start = -1;
      }
    }
    if (start >= 0) {
      runs.accept(start, positions - start);
    }
  }

  private static boolean isKept(Tensor mask, int position) {
    ByteBuffer data = mask.data();
    return switch (mask.elementType()) {
      case FLOAT -> data.getFloat(4 * position) != 0;
      case DOUBLE -> data.getDouble(8 * position) != 0;
      case INT32 -> data.getInt(4 * position) != 0;
      case INT64 -> data.getLong(8 * position) != 0;
    };
  }
}
