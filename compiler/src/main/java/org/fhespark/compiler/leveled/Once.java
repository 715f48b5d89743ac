package org.fhespark.compiler.leveled;

import java.util.function.Supplier;

/** What is computed when it is first asked for. */
final class Once<T> implements Supplier<T> {
  private Supplier<T> computation;
  private T value;

  Once(Supplier<T> computation) {
    this.computation = computation;
  }

  @Override
  public T get() {
    if (computation != null) {
      value = computation.get();
      computation = null;
    }
    return value;
  }
}
