package org.fhespark.udf;

import java.nio.ByteBuffer;

/** Memory that several blocks look at; released when the last of them is closed. */
final class SharedMemory {
  private final ByteBuffer bytes;
  private final Runnable release;
  private int users = 1;

  /**
   * @param bytes direct, from its start to its capacity
   * @param release gives the memory back
   */
  SharedMemory(ByteBuffer bytes, Runnable release) {
    this.bytes = bytes;
    this.release = release;
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
}
