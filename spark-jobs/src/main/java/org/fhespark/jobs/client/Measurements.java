package org.fhespark.jobs.client;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import org.fhespark.metrics.ClientMetrics;
import org.fhespark.udf.EncryptedBlock;

/** Counters of one run at a time, added to by all threads. */
final class Measurements {
  private final Map<Step, LongAdder> nanos = new EnumMap<>(Step.class);
  final LongAdder bytesUp = new LongAdder();
  final LongAdder bytesDown = new LongAdder();
  final LongAdder valuesUp = new LongAdder();
  final LongAdder valuesDown = new LongAdder();

  /** Rows of remote calls that took slots of prepared masks. */
  final LongAdder preparedRows = new LongAdder();

  /** Rows of leveled modules that lay beyond their range and were drawn into it. */
  final LongAdder clampedRows = new LongAdder();

  /** By module with look-ups, in modes that evaluate them in clear. */
  private final Map<String, LookedUp> lookedUp = new ConcurrentHashMap<>();

  /** Values that look-ups read, and those of them outside the ranges of their tables. */
  private record LookedUp(LongAdder values, LongAdder outside) {}

  Measurements() {
    for (Step step : Step.values()) {
      nanos.put(step, new LongAdder());
    }
  }

  /** Forgets all, before another run. */
  void reset() {
    nanos.values().forEach(LongAdder::reset);
    lookedUp.clear();
    List.of(bytesUp, bytesDown, valuesUp, valuesDown, preparedRows, clampedRows)
        .forEach(LongAdder::reset);
  }

  /** An encrypted block goes to the server. */
  void blockSent(EncryptedBlock block) {
    bytesUp.add(block.length());
    ClientMetrics.shared().blockSent(block.length());
  }

  /** A result came back. */
  void blockReceived(EncryptedBlock result) {
    bytesDown.add(result.length());
    ClientMetrics.shared().blockReceived(result.length());
  }

  void addLookedUp(String module, long values, long outside) {
    LookedUp counts =
        lookedUp.computeIfAbsent(module, unused -> new LookedUp(new LongAdder(), new LongAdder()));
    counts.values().add(values);
    counts.outside().add(outside);
  }

  Map<String, ScoreReport.LookedUp> lookedUp() {
    Map<String, ScoreReport.LookedUp> counts = new TreeMap<>();
    lookedUp.forEach(
        (module, found) ->
            counts.put(
                module, new ScoreReport.LookedUp(found.values().sum(), found.outside().sum())));
    return counts;
  }

  /** Times a block of code: the time until it is closed counts for the step. */
  Timer time(Step step) {
    long start = System.nanoTime();
    return () -> addNanos(step, System.nanoTime() - start);
  }

  void addNanos(Step step, long elapsed) {
    nanos.get(step).add(elapsed);
  }

  /** Seconds of a step, summed over threads. */
  double seconds(Step step) {
    return nanos.get(step).sum() / 1e9;
  }

  /** A running time measurement. */
  interface Timer extends AutoCloseable {
    @Override
    void close();
  }
}
