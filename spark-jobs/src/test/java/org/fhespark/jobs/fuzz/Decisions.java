package org.fhespark.jobs.fuzz;

import java.util.List;

/** Decisions that a fuzzer's bytes make; zeros when they are at their end. */
public final class Decisions {
  private static final long[] EXTREMES = {
    0,
    1,
    -1,
    2,
    3,
    7,
    64,
    255,
    65_536,
    1L << 24,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    1L << 32,
    Long.MAX_VALUE,
    Long.MIN_VALUE
  };

  private final byte[] bytes;
  private int position;

  public Decisions(byte[] bytes) {
    this.bytes = bytes;
  }

  public boolean areLeft() {
    return position < bytes.length;
  }

  private int next() {
    return areLeft() ? bytes[position++] & 0xff : 0;
  }

  /** From 0, below a bound. */
  public int below(int bound) {
    int value = bound <= 256 ? next() : next() | next() << 8 | next() << 16;
    return value % bound;
  }

  /** One of a list's. */
  public <T> T of(List<T> choices) {
    return choices.get(below(choices.size()));
  }

  /** Often one that lengths should not have. */
  public long number() {
    return below(4) == 0 ? below(1 << 16) - 100 : EXTREMES[below(EXTREMES.length)];
  }

  /** Changes some bytes, or cuts or repeats them. */
  public byte[] damage(byte[] whole) {
    byte[] damaged = whole.clone();
    while (areLeft() && damaged.length > 0) {
      int at = below(damaged.length);
      switch (below(6)) {
        case 0 -> damaged[at] ^= (byte) (1 << below(8));
        case 1 -> damaged[at] = (byte) next();
        case 2 -> damaged = java.util.Arrays.copyOf(damaged, at);
        case 3 -> damaged = java.util.Arrays.copyOf(damaged, damaged.length + below(64));
        case 4 -> {
          long number = number();
          for (int each = 0; each < 4 && at + each < damaged.length; each++) {
            damaged[at + each] = (byte) (number >> 8 * (3 - each));
          }
        }
        default -> System.arraycopy(damaged, 0, damaged, at, Math.min(at, damaged.length - at));
      }
    }
    return damaged;
  }
}
