package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.fhespark.InvalidInputException;

/**
 * A mask that is to be prepared.
 *
 * @param layer the call whose rows will use it
 * @param slots rows it shall be for
 */
record MaskDemand(RemoteLayer layer, int slots) {

  /**
   * What is wanting so that each call has masks for so many rows that no row has used yet: as many
   * as possible of a whole block, and one for the rest. Where memory would not do otherwise, what
   * is left of masks in use is given up; no rows may be on their way.
   *
   * @param mostBytes of native memory that all masks may hold then
   * @throws InvalidInputException if they would hold more; nothing is given up then
   */
  static List<MaskDemand> of(List<RemoteLayer> all, long rows, long mostBytes) {
    List<RemoteLayer> layers = all.stream().filter(RemoteLayer::isPacked).toList();
    for (RemoteLayer layer : layers) {
      if (layer.spec().parameters().protectsWeights()) {
        throw new InvalidInputException(
            "prepare: results of module "
                + layer.name()
                + " are re-randomised (compile --protect-weights), so no mask can be prepared"
                + " ahead: each result has a fresh one; score without prepare");
      }
    }
    double unusedBytes = 0;
    long heldBytes = 0;
    long rowBytes = 0;
    for (RemoteLayer layer : layers) {
      unusedBytes += layer.preparedBytes(layer.preparedMasks().unusedSlots());
      heldBytes += layer.preparedMasks().memoryBytes();
      rowBytes += layer.preparedBytes(1);
    }
    // In floating point, for what is asked may be huge; then it is not counted out.
    double wantedBytes = (double) rows * rowBytes;
    List<MaskDemand> demands = new ArrayList<>();
    if (wantedBytes <= mostBytes) {
      layers.forEach(layer -> demands.addAll(wanting(layer, rows)));
      wantedBytes =
          demands.stream().mapToDouble(each -> each.layer().preparedBytes(each.slots())).sum();
    }
    if (unusedBytes + wantedBytes > mostBytes) {
      throw new InvalidInputException(
          String.format(
              Locale.ROOT,
              "prepare: masks for %d rows of each remote module would take %.0f bytes of native"
                  + " memory, beside %.0f of masks that are there and not used; %d are allowed:"
                  + " prepare at most %.0f rows, or allow more with prepare(rows, bytes)",
              rows,
              wantedBytes,
              unusedBytes,
              mostBytes,
              Math.max(0, Math.floor((mostBytes - unusedBytes) / rowBytes))));
    }
    if (heldBytes + wantedBytes > mostBytes) {
      for (RemoteLayer layer : layers) {
        layer.preparedMasks().giveUpBegun();
        layer.preparedMasks().closeUsed();
      }
    }
    return demands;
  }

  /** A block's rows share a mask, so one that is there stands in for one that is not larger. */
  private static List<MaskDemand> wanting(RemoteLayer layer, long rows) {
    int most = layer.spec().parameters().maxRecords();
    List<Integer> there = layer.preparedMasks().unusedMasks();
    List<MaskDemand> demands = new ArrayList<>();
    int matched = 0;
    for (long left = rows; left > 0; left -= most) {
      int slots = (int) Math.min(most, left);
      if (matched < there.size() && there.get(matched) >= slots) {
        matched++;
      } else {
        demands.add(new MaskDemand(layer, slots));
      }
    }
    return demands;
  }

  /** Bytes of its result, which the client needs until the mask is ready. */
  long resultBytes() {
    return layer.cipher().bytesDown(0);
  }
}
