package org.fhespark.bench;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;

/** Records to score: Gaussian, since zeros would be too fast. */
public final class RandomRecords {
  private RandomRecords() {}

  /** Floats {@code [count][inputs]}, direct and in native byte order. */
  public static ByteBuffer of(int count, int inputs) {
    ByteBuffer records =
        ByteBuffer.allocateDirect(Float.BYTES * count * inputs).order(ByteOrder.nativeOrder());
    Random random = new Random(2);
    while (records.hasRemaining()) {
      records.putFloat((float) random.nextGaussian());
    }
    return records.flip();
  }
}
