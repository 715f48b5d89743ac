package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import org.fhespark.compiler.parameters.BlockLimits;
import org.fhespark.nativelib.PackedParameters;

/**
 * How a block is shared out to tasks that evaluate it side by side, where blocks are fewer than
 * cores and the layer is large: its mask to one, its records in runs to others. Unlike smaller
 * blocks, each with a mask of its own, parts of one make the server no work, and unlike tiles of
 * outputs they send no input twice.
 */
final class BlockCut {
  /**
   * What more tasks must save at least: products of a weight and a byte of an entry, some ten
   * milliseconds of a core. Spark needs some for a task.
   */
  private static final double LEAST_SAVED = 1L << 32;

  private BlockCut() {}

  /**
   * Records of each run, multiples of 64 but for the last; none if the block is better left whole.
   *
   * @param rows records of the block
   * @param tasks that may evaluate it at a time
   */
  static List<Integer> of(RemoteLayer layer, int rows, int tasks) {
    if (tasks < 2 || !layer.isPacked() || layer.spec().protectsWeights()) {
      return List.of();
    }
    PackedParameters parameters = layer.spec().parameters();
    return of(
        parameters.lweDimension() * parameters.limbs(),
        parameters.bodyLimbs(),
        (double) layer.spec().dIn() * layer.spec().dOut(),
        rows,
        tasks);
  }

  /**
   * The same.
   *
   * @param mask bytes of a feature's mask
   * @param rowBytes bytes of a feature of a record
   * @param weights of the layer
   */
  static List<Integer> of(int mask, int rowBytes, double weights, int rows, int tasks) {
    int all = mask + rows * rowBytes;
    // The mask is not cut, so no task need be shorter than its.
    int longest = Math.max(mask, RowBlock.ceilDiv(all, tasks));
    if ((all - longest) * weights < LEAST_SAVED) {
      return List.of();
    }
    List<Integer> runs = new ArrayList<>();
    int left = rows;
    // Beside the mask.
    int beside = (longest - mask) / rowBytes / BlockLimits.PANEL_ROWS * BlockLimits.PANEL_ROWS;
    if (beside > 0 && beside < rows) {
      runs.add(beside);
      left -= beside;
    }
    // Runs are whole panels, and none is to be left over for that.
    int others = RowBlock.ceilDiv(left * rowBytes, longest + BlockLimits.PANEL_ROWS * rowBytes);
    int panels = RowBlock.ceilDiv(RowBlock.ceilDiv(left, others), BlockLimits.PANEL_ROWS);
    while (left > 0) {
      int run = Math.min(left, panels * BlockLimits.PANEL_ROWS);
      runs.add(run);
      left -= run;
    }
    return runs;
  }
}
