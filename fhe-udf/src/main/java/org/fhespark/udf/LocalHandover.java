package org.fhespark.udf;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.SparkEnv;
import org.fhespark.InvalidInputException;

/**
 * Blocks handed over within a JVM. With a local master the client and its tasks share memory, so
 * Spark's tasks and results carry a ticket instead of a block's bytes.
 */
final class LocalHandover {
  private static final LocalHandover SHARED = new LocalHandover();

  private final Map<Long, SharedMemory> deposited = new ConcurrentHashMap<>();
  private final AtomicLong nextTicket = new AtomicLong(1);

  private LocalHandover() {}

  /** The handover of this JVM. */
  static LocalHandover shared() {
    return SHARED;
  }

  /** Whether whoever reads what is serialised here is in this JVM. */
  static boolean isPossible() {
    SparkEnv environment = SparkEnv.get();
    if (environment == null) {
      return false;
    }
    String master = environment.conf().get("spark.master", "");
    return master.equals("local") || master.startsWith("local[");
  }

  /** Keeps memory for whoever brings the ticket. */
  long deposit(SharedMemory memory) {
    long ticket = nextTicket.getAndIncrement();
    deposited.put(ticket, memory.share());
    return ticket;
  }

  /** The memory of a ticket, which stays good for others; the caller leaves it when done. */
  SharedMemory look(long ticket) {
    SharedMemory memory = deposited.get(ticket);
    if (memory == null) {
      throw unknown(ticket);
    }
    return memory.share();
  }

  /** The memory of a ticket, which ends with that; the caller leaves it when done. */
  SharedMemory redeem(long ticket) {
    SharedMemory memory = deposited.remove(ticket);
    if (memory == null) {
      throw unknown(ticket);
    }
    return memory;
  }

  /** Ends a ticket. */
  void withdraw(long ticket) {
    SharedMemory memory = deposited.remove(ticket);
    if (memory != null) {
      memory.leave();
    }
  }

  /** Tickets that are good. */
  int size() {
    return deposited.size();
  }

  private static InvalidInputException unknown(long ticket) {
    return new InvalidInputException(
        "encrypted block number " + ticket + " is not, or no longer, in this process");
  }
}
