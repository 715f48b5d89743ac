package org.fhespark.metrics;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import org.fhespark.nativelib.NativeMemory;
import org.fhespark.udf.DirectMemory;

/** Native memory of this JVM, in bytes now. */
final class NativeMemoryGauges {
  private NativeMemoryGauges() {}

  static void registerIn(MetricRegistry registry) {
    registry.register("nativeBytes", (Gauge<Long>) NativeMemory::totalBytes);
    registry.register("nativeHeapBytes", (Gauge<Long>) NativeMemory::heapBytes);
    registry.register("nativeBufferBytes", (Gauge<Long>) NativeMemory::liveBytes);
    registry.register("nativeResultBytes", (Gauge<Long>) NativeMemory::resultBytes);
    registry.register("idleBufferBytes", (Gauge<Long>) DirectMemory.shared()::idleBytes);
    registry.register("idleResultBytes", (Gauge<Long>) NativeMemory::idleResultBytes);
  }
}
