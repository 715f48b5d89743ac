package org.fhespark.bench;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Times several pieces of work in turns, A B C A B C …, so that a machine whose speed drifts treats
 * all alike; reports the median of each. All work is of the calling thread, and its processor time
 * counts, so that whatever else runs on the machine takes less of the result.
 */
final class Interleaved {
  private static final int FEWEST_ROUNDS = 3;
  private static final int MOST_ROUNDS = 50;

  /** Until the JVM has compiled what is timed. */
  private static final int MOST_WARM_UPS = 3000;

  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private final Map<String, Runnable> works = new LinkedHashMap<>();
  private final double secondsEach;

  /**
   * @param secondsEach about how long each piece of work is run
   */
  Interleaved(double secondsEach) {
    this.secondsEach = secondsEach;
  }

  Interleaved add(String name, Runnable work) {
    works.put(name, work);
    return this;
  }

  /** Median seconds of processor time of one run of each. */
  Map<String, Double> medians() {
    double longest = 0;
    for (Runnable work : works.values()) {
      // The first run loads classes, allocates and warms caches.
      seconds(work);
      double last = seconds(work);
      double warm = last;
      for (int runs = 0; warm < secondsEach / 2 && runs < MOST_WARM_UPS; runs++) {
        last = seconds(work);
        warm += last;
      }
      longest = Math.max(longest, last);
    }
    int rounds = (int) Math.max(FEWEST_ROUNDS, Math.min(MOST_ROUNDS, secondsEach / longest));
    Map<String, double[]> times = new LinkedHashMap<>();
    works.keySet().forEach(name -> times.put(name, new double[rounds]));
    for (int round = 0; round < rounds; round++) {
      for (Map.Entry<String, Runnable> work : works.entrySet()) {
        times.get(work.getKey())[round] = seconds(work.getValue());
      }
    }
    Map<String, Double> medians = new LinkedHashMap<>();
    times.forEach(
        (name, samples) -> {
          Arrays.sort(samples);
          medians.put(name, samples[rounds / 2]);
        });
    return medians;
  }

  private static double seconds(Runnable work) {
    long start = THREADS.getCurrentThreadCpuTime();
    work.run();
    return (THREADS.getCurrentThreadCpuTime() - start) / 1e9;
  }
}
