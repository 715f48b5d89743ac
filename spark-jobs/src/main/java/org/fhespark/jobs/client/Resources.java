package org.fhespark.jobs.client;

import java.util.ArrayDeque;
import java.util.Deque;

/** Things to close together, the last opened first, all of them even if one fails. */
final class Resources implements AutoCloseable {
  private final Deque<AutoCloseable> opened = new ArrayDeque<>();

  <T extends AutoCloseable> T add(T resource) {
    opened.push(resource);
    return resource;
  }

  @Override
  public void close() {
    RuntimeException failure = null;
    while (!opened.isEmpty()) {
      try {
        opened.pop().close();
      } catch (Exception error) {
        if (failure == null) {
          failure = new IllegalStateException("cannot be closed", error);
        } else {
          failure.addSuppressed(error);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}
