package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;
import org.fhespark.InvalidInputException;

/**
 * A mask that is to be prepared.
 *
 * @param layer the call whose rows will use it
 * @param slots rows it shall be for
 */
record MaskDemand(RemoteLayer layer, int slots) {

  /**
   * What is wanting so that masks that no row has used yet are there for so many rows of each call.
   * Where memory would not do otherwise, what is left of masks in use is given up; no rows may be
   * on their way.
   *
   * @param mostBytes of native memory that all masks may hold then
   * @throws InvalidInputException if they would hold more
   */
  static List<MaskDemand> of(List<RemoteLayer> layers, long rows, long mostBytes) {
    long each = layers.stream().mapToLong(layer -> layer.preparedBytes(1)).sum();
    double untouched = sum(layers, layer -> untouchedBytes(layer, rows));
    if (untouched > mostBytes) {
      throw new InvalidInputException(
          String.format(
              Locale.ROOT,
              "prepare: masks for %d rows of each remote module would take %.0f bytes of native"
                  + " memory, %d are allowed: prepare at most %d rows, or allow more with"
                  + " prepare(rows, bytes)",
              rows,
              untouched,
              mostBytes,
              mostBytes / each));
    }
    double held = sum(layers, layer -> layer.preparedMasks().memoryBytes());
    if (held + sum(layers, layer -> each(layer) * missing(layer, rows)) > mostBytes) {
      for (RemoteLayer layer : layers) {
        layer.preparedMasks().giveUpBegun();
        layer.preparedMasks().closeUsed();
      }
    }
    List<MaskDemand> demands = new ArrayList<>();
    for (RemoteLayer layer : layers) {
      int most = layer.spec().parameters().maxRecords();
      for (long left = missing(layer, rows); left > 0; left -= most) {
        demands.add(new MaskDemand(layer, (int) Math.min(most, left)));
      }
    }
    return demands;
  }

  private static double sum(List<RemoteLayer> layers, ToDoubleFunction<RemoteLayer> bytes) {
    return layers.stream().mapToDouble(bytes).sum();
  }

  /** Bytes of masks that no row has used, once none is wanting. */
  private static double untouchedBytes(RemoteLayer layer, long rows) {
    return each(layer) * Math.max(rows, layer.preparedMasks().untouchedSlots());
  }

  /** Bytes of a slot; in floating point, for what is asked may be huge. */
  private static double each(RemoteLayer layer) {
    return layer.preparedBytes(1);
  }

  private static long missing(RemoteLayer layer, long rows) {
    return Math.max(0, rows - layer.preparedMasks().untouchedSlots());
  }

  /** Bytes of its result, which the client needs until the mask is ready. */
  long resultBytes() {
    return layer.bytesDown(0);
  }
}
