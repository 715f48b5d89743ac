package org.fhespark.jobs.client;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;

/** Counters of one run at a time, added to by all threads. */
final class Measurements {
  private final Map<Step, LongAdder> nanos = new EnumMap<>(Step.class);
  final LongAdder bytesUp = new LongAdder();
  final LongAdder bytesDown = new LongAdder();
  final LongAdder valuesUp = new LongAdder();
  final LongAdder valuesDown = new LongAdder();

  /** Rows of remote calls that took slots of prepared masks. */
  final LongAdder preparedRows = new LongAdder();

  Measurements() {
    for (Step step : Step.values()) {
      nanos.put(step, new LongAdder());
    }
  }

  /** Forgets all, before another run. */
  void reset() {
    nanos.values().forEach(LongAdder::reset);
    List.of(bytesUp, bytesDown, valuesUp, valuesDown, preparedRows).forEach(LongAdder::reset);
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
