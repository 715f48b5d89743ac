package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.OutputRows;
import org.fhespark.nativelib.PreparedMask;

/**
 * Masks of one call that were prepared ahead of its rows, used up one after the other. That a slot
 * takes one row, once, the native side sees to; here it is decided which mask serves which block.
 * Safe to share between threads.
 *
 * <p>Each call has its own, also where two have the same circuit: they have clients of their own.
 */
final class PreparedMasks implements AutoCloseable {
  private final Deque<Ready> ready = new ArrayDeque<>();

  /** Blocks may still have slots of these. */
  private final List<PreparedMask> givenUp = new ArrayList<>();

  /** A mask that had so many slots when it came. */
  private record Ready(PreparedMask mask, int slots) {
    boolean isBegun() {
      return mask.slotsLeft() < slots;
    }
  }

  synchronized void add(PreparedMask mask) {
    ready.add(new Ready(mask, mask.slotsLeft()));
  }

  /** Slots of each mask that no row has used yet, the largest first. */
  synchronized List<Integer> unusedMasks() {
    return ready.stream()
        .filter(each -> !each.isBegun())
        .map(Ready::slots)
        .sorted(Comparator.reverseOrder())
        .toList();
  }

  /** Slots of all of these. */
  long unusedSlots() {
    return unusedMasks().stream().mapToLong(slots -> slots).sum();
  }

  /** Slots that rows may take. */
  synchronized long slotsLeft() {
    return ready.stream().mapToLong(each -> each.mask().slotsLeft()).sum();
  }

  /** Bytes of native memory that all masks here hold. */
  synchronized long memoryBytes() {
    return ready.stream().mapToLong(each -> each.mask().memoryBytes()).sum()
        + givenUp.stream().mapToLong(PreparedMask::memoryBytes).sum();
  }

  /**
   * Encrypts rows in slots of one mask.
   *
   * @param scales written, one a row
   * @param block written
   * @return the slots they took; empty if no mask has so many left, and then none are used
   * @throws org.fhespark.InvalidInputException if a value is not finite; no slots are used then
   */
  Optional<Slots> encrypt(InputRows rows, float[] scales, long number, ByteBuffer block) {
    for (PreparedMask mask = choose(scales.length); mask != null; mask = choose(scales.length)) {
      OptionalInt first = mask.encrypt(rows, scales, number, block);
      if (first.isPresent()) {
        return Optional.of(new Slots(mask, first.getAsInt()));
      }
      // Another wave was faster.
    }
    return Optional.empty();
  }

  /**
   * The first mask with so many slots left. Begun ones before it are given up: they have fewer
   * slots left than these rows take, and would keep the memory of all.
   */
  private synchronized PreparedMask choose(int rows) {
    Optional<Ready> chosen =
        ready.stream().filter(each -> each.mask().slotsLeft() >= rows).findFirst();
    if (chosen.isEmpty()) {
      return null;
    }
    Iterator<Ready> before = ready.iterator();
    for (Ready each = before.next(); each != chosen.get(); each = before.next()) {
      if (each.isBegun()) {
        before.remove();
        givenUp.add(each.mask());
      }
    }
    return chosen.get().mask();
  }

  /** Gives up the slots that are left in masks which rows have used. */
  synchronized void giveUpBegun() {
    giveUp(true);
  }

  /** Closes the masks that no row can use any more; no rows may be on their way. */
  synchronized void closeUsed() {
    giveUp(false);
    givenUp.forEach(PreparedMask::close);
    givenUp.clear();
  }

  private void giveUp(boolean withSlotsLeft) {
    ready.removeIf(
        each -> {
          boolean goes = each.isBegun() && (withSlotsLeft || each.mask().slotsLeft() == 0);
          return goes && givenUp.add(each.mask());
        });
  }

  /** Closes all; no rows may be on their way. */
  @Override
  public synchronized void close() {
    closeUsed();
    ready.forEach(each -> each.mask().close());
    ready.clear();
  }

  /** Slots that rows took. */
  record Slots(PreparedMask mask, int first) {

    /** Decrypts the results of those rows to where they go. */
    void decrypt(ByteBuffer block, long number, float[] scales, OutputRows outputs) {
      mask.decrypt(block, number, first, scales, outputs);
    }
  }
}
