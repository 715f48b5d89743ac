package org.fhespark.udf;

import java.time.Duration;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;
import org.fhespark.nativelib.CircuitDigest;

/**
 * Things in native memory by the digest of what they are made of: made when a task first needs one,
 * shared by all tasks, released when no task has used one for a while and another comes by or
 * {@link #releaseIdle} is called, or once it is given up.
 */
final class SharedHandles<T extends AutoCloseable> {
  private final Duration idleLimit;
  private final LongSupplier nanoTime;
  private final Map<CircuitDigest, Entry<T>> entries = new HashMap<>();

  SharedHandles(Duration idleLimit, LongSupplier nanoTime) {
    this.idleLimit = idleLimit;
    this.nanoTime = nanoTime;
  }

  /** Borrows a thing, which {@code make} makes if it is not there; the caller closes the lease. */
  Lease<T> acquire(CircuitDigest digest, Supplier<T> make) {
    Entry<T> entry = use(digest);
    try {
      // Those who want another need not wait for it.
      return new Lease<>(this, entry, entry.made(make));
    } catch (Throwable error) {
      abandon(digest, entry);
      throw error;
    }
  }

  private synchronized Entry<T> use(CircuitDigest digest) {
    releaseIdle();
    Entry<T> entry = entries.computeIfAbsent(digest, unused -> new Entry<>());
    entry.users++;
    entry.isGivenUp = false;
    return entry;
  }

  /** After it could not be made; whoever waited for it tries too. */
  private synchronized void abandon(CircuitDigest digest, Entry<T> entry) {
    entry.users--;
    if (entry.users == 0 && entry.value().isEmpty()) {
      entries.remove(digest);
    }
  }

  /** Things that are there now. */
  synchronized int size() {
    return (int) values().count();
  }

  /** A figure of all of them together. */
  synchronized long sum(ToLongFunction<T> figure) {
    return values().mapToLong(figure).sum();
  }

  private Stream<T> values() {
    return entries.values().stream().flatMap(entry -> entry.value().stream());
  }

  /** Tasks that use a thing now. */
  synchronized int users(CircuitDigest digest) {
    Entry<T> entry = entries.get(digest);
    return entry == null ? 0 : entry.users;
  }

  /** Releases what nobody uses and is given up or nobody has used for the idle limit. */
  synchronized void releaseIdle() {
    long now = nanoTime.getAsLong();
    for (Iterator<Entry<T>> rest = entries.values().iterator(); rest.hasNext(); ) {
      Entry<T> entry = rest.next();
      if (entry.users == 0 && (entry.isGivenUp || now - entry.lastUse > idleLimit.toNanos())) {
        rest.remove();
        entry.close();
      }
    }
  }

  /**
   * Releases a thing now, or when the last of the tasks that use it now ends; a task that comes by
   * in the meantime keeps it.
   */
  synchronized void giveUp(CircuitDigest digest) {
    Entry<T> entry = entries.get(digest);
    if (entry != null) {
      entry.isGivenUp = true;
      releaseIdle();
    }
  }

  private synchronized void release(Entry<T> entry) {
    entry.users--;
    entry.lastUse = nanoTime.getAsLong();
    releaseIdle();
  }

  private static final class Entry<T extends AutoCloseable> {
    private volatile T value;
    int users;
    long lastUse;
    boolean isGivenUp;

    /** The thing; tasks that start together make one. */
    synchronized T made(Supplier<T> make) {
      if (value == null) {
        value = make.get();
      }
      return value;
    }

    /** Empty until it is made. */
    Optional<T> value() {
      return Optional.ofNullable(value);
    }

    void close() {
      try {
        value.close();
      } catch (Exception error) {
        throw new IllegalStateException("native memory could not be released", error);
      }
    }
  }

  /** The use of a thing by one task. */
  static final class Lease<T extends AutoCloseable> implements AutoCloseable {
    private final SharedHandles<T> owner;
    private final Entry<T> entry;
    private final T value;
    private boolean isClosed;

    private Lease(SharedHandles<T> owner, Entry<T> entry, T value) {
      this.owner = owner;
      this.entry = entry;
      this.value = value;
    }

    /** The thing; valid until the lease is closed. */
    T value() {
      return value;
    }

    @Override
    public void close() {
      if (!isClosed) {
        isClosed = true;
        owner.release(entry);
      }
    }
  }
}
