package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.ConcurrentHashMap;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.nativelib.PreparedMask;

/** Masks of calls that were prepared ahead of their rows. */
final class PreparedMasks {
  private final Map<RemoteLayer, PreparedMask> masks = new ConcurrentHashMap<>();

  /** Keeps the only mask of a call. */
  void put(RemoteLayer layer, PreparedMask mask) {
    masks.put(layer, mask);
  }

  /** Closes all; no rows may be on their way. */
  void clear() {
    masks.values().forEach(PreparedMask::close);
    masks.clear();
  }

  /**
   * Encrypts rows under the mask of their call.
   *
   * @param scales written, one a row
   * @param block written
   * @return the slots they took; empty if there is no mask or it has too few slots left
   */
  Optional<Slots> encrypt(RowBlock rows, float[] scales, long number, ByteBuffer block) {
    PreparedMask mask = masks.get(rows.layer());
    if (mask == null || mask.slotsLeft() < scales.length) {
      return Optional.empty();
    }
    OptionalInt first = mask.encrypt(table(rows), scales, number, block);
    return first.isEmpty() ? Optional.empty() : Optional.of(new Slots(mask, first.getAsInt()));
  }

  /** Slots that rows took. */
  record Slots(PreparedMask mask, int first) {

    /** Decrypts the results of those rows to where they go. */
    void decrypt(ByteBuffer block, long number, float[] scales, RowBlock rows) {
      int columns = rows.layer().spec().dOut();
      ByteBuffer outputs = floats(scales.length * columns);
      mask.decrypt(block, number, first, scales, outputs);
      int row = 0;
      for (RowBlock.Run run : rows.runs()) {
        for (int i = 0; i < run.rows(); i++, row++) {
          int from = row * columns * Float.BYTES;
          for (CallOutput output : rows.layer().spec().outputs()) {
            int bytes = output.columns() * Float.BYTES;
            ByteBuffer place = run.batch().tensor(output.tensor()).data();
            place.put((run.first() + i) * bytes, outputs, from, bytes);
            from += bytes;
          }
        }
      }
    }
  }

  /** The rows' inputs, one after the other. */
  private static ByteBuffer table(RowBlock rows) {
    int columns = rows.layer().spec().dIn();
    ByteBuffer table = floats(rows.rows() * columns);
    int at = 0;
    for (RowBlock.Run run : rows.runs()) {
      int bytes = run.rows() * columns * Float.BYTES;
      ByteBuffer input = rows.layer().inputOf(run.batch()).data();
      table.put(at, input, run.first() * columns * Float.BYTES, bytes);
      at += bytes;
    }
    return table;
  }

  private static ByteBuffer floats(int count) {
    return ByteBuffer.allocateDirect(count * Float.BYTES).order(ByteOrder.nativeOrder());
  }
}
