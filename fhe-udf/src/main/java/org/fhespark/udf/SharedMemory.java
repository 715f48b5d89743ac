package org.fhespark.udf;

import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;

/**
 * Memory that several blocks look at; released when the last of them is closed, or when all of them
 * are lost.
 */
final class SharedMemory {
  private static final Cleaner LOST = Cleaner.create();

  private final ByteBuffer bytes;
  private final Release release;
  private int users = 1;

  /**
   * @param bytes direct, from its start to its capacity
   * @param release gives the memory back; it must not refer to this object
   */
  SharedMemory(ByteBuffer bytes, Runnable release) {
    this.bytes = bytes;
    this.release = new Release(release);
    LOST.register(this, this.release);
  }

  ByteBuffer bytes() {
    return bytes.duplicate();
  }

  /**
   * One user more.
   *
   * @throws IllegalStateException if the last one has gone
   */
  synchronized SharedMemory share() {
    if (users == 0) {
      throw new IllegalStateException("the memory of this encrypted block is released");
    }
    users++;
    return this;
  }

  /** One user less. */
  void leave() {
    boolean isLast;
    synchronized (this) {
      users--;
      isLast = users == 0;
    }
    if (isLast) {
      release.run();
    }
  }

  /** Runs once, whether the memory was closed or lost. */
  private static final class Release implements Runnable {
    private Runnable action;

    Release(Runnable action) {
      this.action = action;
    }

    @Override
    public void run() {
      Runnable once;
      synchronized (this) {
        once = action;
        action = null;
      }
      if (once != null) {
        once.run();
      }
    }
  }
}
