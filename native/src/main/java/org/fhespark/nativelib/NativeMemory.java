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

  /** Bytes of the buffers that are allocated now. */
  public static long liveBytes() {
    return LIVE_BYTES.get();
  }

  /**
   * Bytes of native memory that this library holds now, in all: buffers, results of evaluations and
   * memory that is kept for others, circuits, keys, prepared masks and working memory. 0 before the
   * library is loaded.
   */
  public static long totalBytes() {
    return NativeLibrary.isLoaded() ? FheNative.mappedBytes() + FheNative.heapBytes() : 0;
  }

  /** Of {@link #totalBytes}: circuits, keys, prepared masks and working memory. */
  public static long heapBytes() {
    return NativeLibrary.isLoaded() ? FheNative.heapBytes() : 0;
  }

  /** Of {@link #totalBytes}: results of evaluations, in use or kept. */
  public static long resultBytes() {
    return NativeLibrary.isLoaded() ? FheNative.mappedBytes() - LIVE_BYTES.get() : 0;
  }

  /** Of {@link #resultBytes}: what is kept for results to come. */
  public static long idleResultBytes() {
    return NativeLibrary.isLoaded() ? FheNative.idleResultBytes() : 0;
  }
}
