package org.fhespark.jobs.client;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadInfo;
import java.lang.management.ThreadMXBean;
import java.util.HashMap;
import java.util.Map;

/**
 * CPU seconds of this JVM at some moment.
 *
 * @param process all of it, with garbage collection and compilation
 * @param threads of each Java thread, by id
 * @param names of those threads
 */
record CpuTimes(double process, Map<Long, Double> threads, Map<Long, String> names) {

  static CpuTimes now() {
    ThreadMXBean bean = ManagementFactory.getThreadMXBean();
    Map<Long, Double> threads = new HashMap<>();
    Map<Long, String> names = new HashMap<>();
    for (ThreadInfo thread : bean.getThreadInfo(bean.getAllThreadIds())) {
      if (thread != null) {
        threads.put(thread.getThreadId(), bean.getThreadCpuTime(thread.getThreadId()) / 1e9);
        names.put(thread.getThreadId(), thread.getThreadName());
      }
    }
    OperatingSystemMXBean system =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return new CpuTimes(system.getProcessCpuTime() / 1e9, threads, names);
  }

  /** Seconds since then of the threads whose names begin so; all of them for an empty prefix. */
  double since(CpuTimes then, String namePrefix) {
    return threads.entrySet().stream()
        .filter(thread -> names.get(thread.getKey()).startsWith(namePrefix))
        .mapToDouble(thread -> thread.getValue() - then.threads.getOrDefault(thread.getKey(), 0.0))
        .sum();
  }
}
