package org.fhespark.compiler.leveled;

/** The values from {@code low} to {@code high}. */
record Interval(double low, double high) {
  double middle() {
    return (low + high) / 2;
  }

  double half() {
    return (high - low) / 2;
  }

  /** The largest magnitude. */
  double magnitude() {
    return Math.max(-low, high);
  }

  /** The largest distance from a value in it. */
  double reach(double from) {
    return Math.max(high - from, from - low);
  }

  /** What both have. */
  Interval intersection(Interval other) {
    return new Interval(Math.max(low, other.low), Math.min(high, other.high));
  }
}
