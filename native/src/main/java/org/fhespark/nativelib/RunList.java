package org.fhespark.nativelib;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Runs of rows as they cross to the native side: numbers, and the buffers that they name. */
final class RunList {
  private final List<ByteBuffer> buffers = new ArrayList<>();
  private long[] fields = new long[64];
  private int length;

  /** The index of a buffer; one that comes several times in a row is listed once. */
  int buffer(ByteBuffer buffer) {
    if (!buffer.isDirect()) {
      throw new IllegalArgumentException("rows lie in direct buffers");
    }
    int last = buffers.size() - 1;
    if (last >= 0 && buffers.get(last) == buffer) {
      return last;
    }
    buffers.add(buffer);
    return last + 1;
  }

  void add(long... run) {
    if (length + run.length > fields.length) {
      fields = Arrays.copyOf(fields, 2 * fields.length);
    }
    System.arraycopy(run, 0, fields, length, run.length);
    length += run.length;
  }

  ByteBuffer[] buffers() {
    return buffers.toArray(ByteBuffer[]::new);
  }

  long[] fields() {
    return Arrays.copyOf(fields, length);
  }
}
