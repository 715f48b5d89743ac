package org.fhespark.nativelib;

import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Memory outside the heap, in huge pages where the system has them. The JVM neither counts it nor
 * fills it with zeros first, as it does with {@link ByteBuffer#allocateDirect}.
 */
public final class NativeMemory {
  private static final Cleaner CLEANER = Cleaner.create();
  private static final AtomicLong LIVE_BYTES = new AtomicLong();

  private NativeMemory() {}

  /**
   * A direct buffer of zeros. Its memory is freed when the buffer, and all that were made of it,
   * are lost.
   *
   * @param bytes its capacity, at least 1
   * @throws NativeFaultException if the system has no memory
   */
  public static ByteBuffer allocate(int bytes) {
    NativeLibrary.load();
    long memory = FheNative.openMemory(bytes);
    LIVE_BYTES.addAndGet(bytes);
    Runnable free =
        () -> {
          FheNative.closeMemory(memory);
          LIVE_BYTES.addAndGet(-bytes);
        };
    try {
      ByteBuffer buffer = FheNative.memoryBuffer(memory);
      CLEANER.register(buffer, free);
      return buffer;
    } catch (Throwable error) {
      free.run();
      throw error;
    }
  }

  /** Bytes that are allocated now. */
  public static long liveBytes() {
    return LIVE_BYTES.get();
  }
}
