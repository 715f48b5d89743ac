package org.fhespark.nativelib;

import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/**
 * Ownership of one native object: closed once, and never used after that.
 *
 * <p>A call that is under way while another thread closes the handle still finishes; the native
 * side keeps the object until then.
 */
final class NativeHandle implements AutoCloseable {
  private final String what;
  private final AtomicLong handle;
  private final LongConsumer release;

  NativeHandle(String what, long handle, LongConsumer release) {
    this.what = what;
    this.handle = new AtomicLong(handle);
    this.release = release;
  }

  /**
   * @throws IllegalStateException if it is closed
   */
  long get() {
    long value = handle.get();
    if (value == 0) {
      throw new IllegalStateException("this " + what + " is closed");
    }
    return value;
  }

  /**
   * Gives the object up to a native call that ends it.
   *
   * @throws IllegalStateException if it is closed
   */
  long take() {
    long value = handle.getAndSet(0);
    if (value == 0) {
      throw new IllegalStateException("this " + what + " is closed");
    }
    return value;
  }

  @Override
  public void close() {
    long value = handle.getAndSet(0);
    if (value != 0) {
      release.accept(value);
    }
  }
}
