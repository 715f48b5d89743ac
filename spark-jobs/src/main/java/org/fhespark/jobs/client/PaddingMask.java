package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.util.Set;
import org.fhespark.compiler.artifact.PaddingSide;

/**
 * The model's input, {@code [batch, sequence]}, that is 0 where a sequence is padded.
 *
 * @param input its name
 * @param sides on which padding need not be computed
 */
record PaddingMask(String input, Set<PaddingSide> sides) {

  /** Told of positions that follow one another. */
  @FunctionalInterface
  interface Runs {
    void accept(int first, int count);
  }

  /** Whether a batch is padded nowhere else, so that its padding need not be computed. */
  boolean fits(Tensor mask) {
    int sequence = (int) mask.shape()[1];
    for (int position = 1; position < mask.elements(); position++) {
      boolean isKept = isKept(mask, position);
      if (position % sequence != 0
          && isKept != isKept(mask, position - 1)
          && !sides.contains(isKept ? PaddingSide.BEFORE : PaddingSide.BEHIND)) {
        return false;
      }
    }
    return true;
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
