package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

/** Which runs a block is cut to. */
class BlockCutTest {
  private static final int ROW_BYTES = 4;
  private static final int MASK = 2048 * 5;
  private static final double LARGE = 768.0 * 3072;

  private static List<Integer> cut(int rows, int tasks) {
    return BlockCut.of(MASK, ROW_BYTES, LARGE, rows, tasks);
  }

  @Test
  void twoTasksShareMaskAndRowsEvenly() {
    // Of 4,096 rows as many go beside the mask as make both ends meet.
    assertEquals(List.of(768, 3328), cut(4096, 2));
  }

  @Test
  void noTaskIsLongerThanTheMaskNeeds() {
    assertEquals(List.of(2048, 2048), cut(4096, 64));
  }

  @Test
  void smallWorkStaysWhole() {
    assertEquals(List.of(), cut(4096, 1));
    assertEquals(List.of(), cut(64, 2));
    assertEquals(List.of(), BlockCut.of(MASK, ROW_BYTES, 64 * 64, 4096, 2));
  }

  @Property(tries = 500)
  void runsAreTheBlocksRecordsAndTasksEndTogether(
      @ForAll @IntRange(min = 1, max = 100_000) int rows,
      @ForAll @IntRange(min = 2, max = 40) int tasks) {
    List<Integer> runs = cut(rows, tasks);
    if (runs.isEmpty()) {
      return;
    }
    assertEquals(rows, runs.stream().mapToInt(run -> run).sum());
    for (int run = 0; run < runs.size() - 1; run++) {
      assertTrue(runs.get(run) > 0 && runs.get(run) % 64 == 0, runs.toString());
    }
    // The longest first, as they are sent, each to the task that is free first.
    List<Long> parts = new ArrayList<>(List.of((long) MASK));
    runs.forEach(run -> parts.add((long) run * ROW_BYTES));
    parts.sort(Comparator.reverseOrder());
    PriorityQueue<Long> ends = new PriorityQueue<>(Collections.nCopies(tasks, 0L));
    parts.forEach(part -> ends.add(ends.remove() + part));
    long last = ends.stream().mapToLong(end -> end).max().getAsLong();
    long all = MASK + (long) rows * ROW_BYTES;
    long best = Math.max(MASK, all / tasks);
    assertTrue(last <= best * 4 / 3, runs + ": " + last + ", at best " + best);
  }
}
