package org.fhespark.udf;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.Queue;
import org.fhespark.nativelib.NativeMemory;

/**
 * Native memory of blocks and tensors, used again and again: fresh memory of a block's size costs
 * about as much as filling it.
 *
 * <p>Memory that is never given back is freed with the objects that hold it, as any direct buffer.
 * All of it together is held to what the JVM grants direct buffers, beside those.
 */
public final class DirectMemory {
  /** Idle memory that is kept, at most. */
  private static final long KEPT_BYTES = 1536L << 20;

  /** Lengths are rounded up, by an eighth at most or to this, so that like ones share memory. */
  private static final int GRANULE = 1 << 16;

  /** What may be allocated at a time: what the JVM grants direct buffers. */
  private static final long LIMIT = limit();

  private static final long LONGEST_WAIT_MS = 512;

  private static final DirectMemory SHARED = new DirectMemory();

  private final Queue<ByteBuffer> idle = new ArrayDeque<>();
  private long idleBytes;

  private DirectMemory() {}

  private static long limit() {
    String option = "MaxDirectMemorySize";
    long bytes =
        Long.parseLong(
            ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class)
                .getVMOption(option)
                .getValue());
    return bytes == 0 ? Runtime.getRuntime().maxMemory() : bytes;
  }

  /** The memory of this JVM. */
  public static DirectMemory shared() {
    return SHARED;
  }

  /**
   * A direct buffer of at least so many bytes, of any content.
   *
   * @throws IllegalStateException if there is no memory for it
   */
  public ByteBuffer take(int length) {
    synchronized (this) {
      for (Iterator<ByteBuffer> rest = idle.iterator(); rest.hasNext(); ) {
        ByteBuffer buffer = rest.next();
        // Not much too large, so that small blocks do not hold large memory.
        if (buffer.capacity() >= length && buffer.capacity() / 2 <= Math.max(length, GRANULE)) {
          rest.remove();
          idleBytes -= buffer.capacity();
          return buffer.clear();
        }
      }
    }
    long granule = Math.max(GRANULE, Integer.highestOneBit(length) / 8);
    long rounded = (length + granule - 1) / granule * granule;
    int bytes = (int) Math.min(rounded, Integer.MAX_VALUE);
    for (long wait = 1; NativeMemory.liveBytes() + bytes > LIMIT; wait *= 2) {
      if (wait > LONGEST_WAIT_MS) {
        // An error would end Spark's thread, and with it the job's hope of an answer.
        throw new IllegalStateException(
            "no direct memory for "
                + length
                + " bytes of a block or tensor: raise the heap or -XX:MaxDirectMemorySize");
      }
      forgetIdle();
      awaitFreed(wait);
    }
    return NativeMemory.allocate(bytes);
  }

  /** Lost memory is freed once the collector has found it. */
  private static void awaitFreed(long milliseconds) {
    System.gc();
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  /** Bytes that are kept for others now. */
  public synchronized long idleBytes() {
    return idleBytes;
  }

  private synchronized void forgetIdle() {
    idle.clear();
    idleBytes = 0;
  }

  /** Gives back what {@link #take} gave; it must not be used any more. */
  public synchronized void giveBack(ByteBuffer buffer) {
    idle.add(buffer);
    idleBytes += buffer.capacity();
    while (idleBytes > KEPT_BYTES) {
      idleBytes -= idle.remove().capacity();
    }
  }
}
