package org.fhespark.udf;

import java.time.Duration;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.function.LongSupplier;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.PackedCircuit;

/**
 * The prepared circuits of this JVM by digest: prepared when a task first needs one, shared by all
 * tasks, released when no task has used one for a while and another comes by.
 */
public final class CircuitRegistry {
  /** How long an unused circuit stays prepared; the waves of one job are closer together. */
  static final Duration IDLE_LIMIT = Duration.ofMinutes(2);

  private static final CircuitRegistry SHARED = new CircuitRegistry(System::nanoTime);

  private final LongSupplier nanoTime;
  private final Map<CircuitDigest, Entry> entries = new HashMap<>();

  CircuitRegistry(LongSupplier nanoTime) {
    this.nanoTime = nanoTime;
  }

  /** The registry of this JVM. */
  public static CircuitRegistry shared() {
    return SHARED;
  }

  /**
   * Borrows a prepared circuit; the caller closes the lease, the circuit stays.
   *
   * @throws org.fhespark.InvalidInputException if the circuit's bytes are damaged
   */
  public synchronized Lease acquire(Circuit circuit) {
    releaseIdle();
    Entry entry = entries.get(circuit.digest());
    if (entry == null) {
      // Under the lock, so that tasks that start together prepare one copy.
      entry = new Entry(PackedCircuit.open(circuit.file()));
      entries.put(circuit.digest(), entry);
    }
    entry.users++;
    return new Lease(entry);
  }

  /** Circuits prepared now. */
  public synchronized int size() {
    return entries.size();
  }

  /** Tasks that use a circuit now. */
  synchronized int users(Circuit circuit) {
    Entry entry = entries.get(circuit.digest());
    return entry == null ? 0 : entry.users;
  }

  /** Releases circuits that nobody uses and nobody has used for {@link #IDLE_LIMIT}. */
  synchronized void releaseIdle() {
    long now = nanoTime.getAsLong();
    for (Iterator<Entry> rest = entries.values().iterator(); rest.hasNext(); ) {
      Entry entry = rest.next();
      if (entry.users == 0 && now - entry.lastUse > IDLE_LIMIT.toNanos()) {
        rest.remove();
        entry.circuit.close();
      }
    }
  }

  private synchronized void release(Entry entry) {
    entry.users--;
    entry.lastUse = nanoTime.getAsLong();
    releaseIdle();
  }

  private static final class Entry {
    final PackedCircuit circuit;
    int users;
    long lastUse;

    Entry(PackedCircuit circuit) {
      this.circuit = circuit;
    }
  }

  /** The use of a circuit by one task. */
  public final class Lease implements AutoCloseable {
    private final Entry entry;
    private boolean isClosed;

    private Lease(Entry entry) {
      this.entry = entry;
    }

    /** The circuit; valid until the lease is closed. */
    public PackedCircuit circuit() {
      return entry.circuit;
    }

    @Override
    public void close() {
      if (!isClosed) {
        isClosed = true;
        release(entry);
      }
    }
  }
}
