package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;

/**
 * The groups of a table, numbered in the order in which they come, and how many records each has.
 */
final class GroupCounts {
  private final Map<Object, Integer> numbers = new HashMap<>();
  private final List<Object> values = new ArrayList<>();
  private final List<Long> counts = new ArrayList<>();

  /** Counts a record; null is a value as others are. */
  void add(Object value) {
    add(value, 1);
  }

  /** Counts so many records. */
  void add(Object value, long records) {
    Object key = key(value);
    Integer number = numbers.get(key);
    if (number == null) {
      numbers.put(key, values.size());
      values.add(value);
      counts.add(records);
    } else {
      counts.set(number, counts.get(number) + records);
    }
  }

  /** Both zeros are one, as for Spark. */
  private static Object key(Object value) {
    if (value instanceof Double number && number == 0) {
      return 0.0;
    }
    return value instanceof Float number && number == 0 ? (Object) 0f : value;
  }

  /** Their number. */
  int groups() {
    return values.size();
  }

  /** The number of the group with a value. */
  OptionalInt number(Object value) {
    Integer number = numbers.get(key(value));
    return number == null ? OptionalInt.empty() : OptionalInt.of(number);
  }

  Object value(int group) {
    return values.get(group);
  }

  /** Records of a group. */
  long records(int group) {
    return counts.get(group);
  }

  /** Records of all groups. */
  long records() {
    return counts.stream().mapToLong(count -> count).sum();
  }

  /** Records of each group. */
  long[] all() {
    return counts.stream().mapToLong(count -> count).toArray();
  }
}
