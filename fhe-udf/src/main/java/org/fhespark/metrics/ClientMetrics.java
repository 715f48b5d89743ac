package org.fhespark.metrics;

import com.codahale.metrics.Counter;
import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;

/** What the client in this JVM has done since it began, by whichever session. */
public final class ClientMetrics {
  private static final ClientMetrics SHARED = new ClientMetrics();

  private final Counter blocksSent = new Counter();
  private final Counter blocksReceived = new Counter();
  private final Counter bytesUp = new Counter();
  private final Counter bytesDown = new Counter();
  private final Counter recordsDone = new Counter();

  /** The noise margins of the models in use, by who uses them, as long as they are reachable. */
  private final Map<Object, Double> noiseMargins = Collections.synchronizedMap(new WeakHashMap<>());

  private ClientMetrics() {}

  /** Those of this JVM. */
  public static ClientMetrics shared() {
    return SHARED;
  }

  /** An encrypted block goes to the server, or to a table for it. */
  public void blockSent(long bytes) {
    blocksSent.inc();
    bytesUp.inc(bytes);
  }

  /** A result came back. */
  public void blockReceived(long bytes) {
    blocksReceived.inc();
    bytesDown.inc(bytes);
  }

  /** So many more records are scored. */
  public void recordsDone(long records) {
    recordsDone.inc(records);
  }

  /**
   * Somebody uses a model, until {@link #modelLeft}.
   *
   * @param noiseMarginBits the least of its linear remote modules beyond what p_error asks; NaN if
   *     it has none
   */
  public void modelUsed(Object user, double noiseMarginBits) {
    noiseMargins.put(user, noiseMarginBits);
  }

  /** Somebody does not use a model any more. */
  public void modelLeft(Object user) {
    noiseMargins.remove(user);
  }

  private double noiseMarginBits() {
    synchronized (noiseMargins) {
      return noiseMargins.values().stream()
          .mapToDouble(margin -> margin)
          .filter(margin -> !Double.isNaN(margin))
          .min()
          .orElse(Double.NaN);
    }
  }

  void registerIn(MetricRegistry registry) {
    registry.register("blocksSent", blocksSent);
    registry.register("blocksReceived", blocksReceived);
    registry.register("bytesUp", bytesUp);
    registry.register("bytesDown", bytesDown);
    registry.register("recordsDone", recordsDone);
    registry.register("noiseMarginBits", (Gauge<Double>) this::noiseMarginBits);
  }
}
