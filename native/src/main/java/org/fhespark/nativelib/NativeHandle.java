package org.fhespark.nativelib;

import java.lang.ref.Cleaner;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/**
 * Ownership of one native object: closed once, and never used after that.
 *
 * <p>A call that is under way while another thread closes the handle still finishes; the native
 * side keeps the object until then.
 */
final class NativeHandle implements AutoCloseable {
  private static final Cleaner CLEANER = Cleaner.create();

  private final String what;
  private final Owned owned;

  NativeHandle(String what, long handle, LongConsumer release) {
    this.what = what;
    this.owned = new Owned(new AtomicLong(handle), release);
  }

  /**
   * A handle whose object is also released when the handle is lost, for what is large or secret.
   * Whoever passes its value to a native call keeps it reachable until that returns ({@link
   * java.lang.ref.Reference#reachabilityFence}).
   *
   * @param release must not refer to the handle
   */
  static NativeHandle releasedWhenLost(String what, long handle, LongConsumer release) {
    NativeHandle made = new NativeHandle(what, handle, release);
    CLEANER.register(made, made.owned);
    return made;
  }

  /**
   * @throws IllegalStateException if it is closed
   */
  long get() {
    return open(owned.handle.get());
  }

  /**
   * Gives the object up to a native call that ends it.
   *
   * @throws IllegalStateException if it is closed
   */
  long take() {
    return open(owned.handle.getAndSet(0));
  }

  private long open(long value) {
    if (value == 0) {
      throw new IllegalStateException("this " + what + " is closed");
    }
    return value;
  }

  @Override
  public void close() {
    owned.run();
  }

  /** The object, or 0 once it is released; apart from its handle, so that it can outlive that. */
  private record Owned(AtomicLong handle, LongConsumer release) implements Runnable {
    @Override
    public void run() {
      long value = handle.getAndSet(0);
      if (value != 0) {
        release.accept(value);
      }
    }
  }
}
