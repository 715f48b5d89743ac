package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.parameters.BlockLimits;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.OutputRows;

/**
 * Rows of a remote call that are quantised, and may travel, together: those of the batches of a
 * wave, in the order of the batches and of the rows of each.
 *
 * @param layer the call
 * @param runs which rows of which batches
 */
record RowBlock(RemoteLayer layer, List<Run> runs) {

  /**
   * Rows of one batch that follow one another.
   *
   * @param first the first row, in the order of all rows that the call makes of the batch
   * @param rows their number
   */
  record Run(Batch batch, int first, int rows) {}

  /**
   * Makes room for a call's outputs in the batches of a wave and cuts its rows into blocks of like
   * sizes: as few as there can be, for each pays for a mask, but as many as are wanted as long as
   * none is mostly mask. Rows that the padding mask leaves out are in none; their outputs are zero.
   *
   * @param wanted blocks that are worked on at a time
   */
  static List<RowBlock> of(RemoteLayer layer, List<Batch> wave, int wanted) {
    List<RowBlock> blocks = new ArrayList<>();
    int first = 0;
    for (int end = 1; end <= wave.size(); end++) {
      if (end == wave.size() || !layer.canShareBlock(wave.get(first), wave.get(end))) {
        blocks.addAll(cut(layer, wave.subList(first, end), wanted));
        first = end;
      }
    }
    return blocks;
  }

  /**
   * Cuts the rows of all calls of a stage, as {@link #of}, and hands blocks on, as many at a time
   * as may lie in memory with their results.
   *
   * @param mostBytes of blocks and results together; a single block may be larger
   */
  static void inTurn(
      List<RemoteLayer> layers,
      List<Batch> wave,
      int wanted,
      long mostBytes,
      Consumer<List<RowBlock>> taker) {
    List<RowBlock> together = new ArrayList<>();
    long bytes = 0;
    for (RemoteLayer layer : layers) {
      for (RowBlock rows : of(layer, wave, wanted)) {
        if (!together.isEmpty() && bytes + rows.bytes() > mostBytes) {
          taker.accept(together);
          together = new ArrayList<>();
          bytes = 0;
        }
        together.add(rows);
        bytes += rows.bytes();
      }
    }
    if (!together.isEmpty()) {
      taker.accept(together);
    }
  }

  /** Blocks of batches that can share them. */
  private static List<RowBlock> cut(RemoteLayer layer, List<Batch> batches, int wanted) {
    List<Run> active = new ArrayList<>();
    for (Batch batch : batches) {
      layer.allocateOutputs(batch);
      active.addAll(layer.activeRows(batch));
    }
    return inBlocks(
        layer, active, blockRows(layer, active.stream().mapToInt(Run::rows).sum(), wanted));
  }

  /** The same rows in blocks of at most so many. */
  List<RowBlock> split(int most) {
    return inBlocks(layer, runs, most);
  }

  private static List<RowBlock> inBlocks(RemoteLayer layer, List<Run> all, int most) {
    List<RowBlock> blocks = new ArrayList<>();
    List<Run> runs = new ArrayList<>();
    int filled = 0;
    for (Run run : all) {
      int taken = 0;
      while (taken < run.rows()) {
        int rows = Math.min(run.rows() - taken, most - filled);
        runs.add(new Run(run.batch(), run.first() + taken, rows));
        taken += rows;
        filled += rows;
        if (filled == most) {
          blocks.add(new RowBlock(layer, List.copyOf(runs)));
          runs.clear();
          filled = 0;
        }
      }
    }
    if (!runs.isEmpty()) {
      blocks.add(new RowBlock(layer, List.copyOf(runs)));
    }
    return blocks;
  }

  private static int blockRows(RemoteLayer layer, int rows, int wanted) {
    int most = layer.cipher().blockRows();
    int blocks = Math.max(1, ceilDiv(rows, most));
    // A leveled block costs the same however full it is.
    while (blocks < wanted
        && !layer.spec().isLeveled()
        && !layer.isMostlyMask(rows / (blocks + 1))) {
      blocks++;
    }
    if (layer.spec().hasLookups()) {
      // Rows are dear, the mask is no matter: all cores are at work to the end.
      blocks = ceilDiv(blocks, wanted) * wanted;
      return Math.min(most, Math.max(1, ceilDiv(rows, blocks)));
    }
    int panels = Math.max(1, ceilDiv(ceilDiv(rows, blocks), BlockLimits.PANEL_ROWS));
    return Math.min(most, panels * BlockLimits.PANEL_ROWS);
  }

  /** Rounded up; both positive. */
  static int ceilDiv(int dividend, int divisor) {
    return -Math.floorDiv(-dividend, divisor);
  }

  /** Their number. */
  int rows() {
    return runs.stream().mapToInt(Run::rows).sum();
  }

  /** The number of the record that a row belongs to, of all that are scored, from 0. */
  long recordNumber(int row) {
    int at = row;
    for (Run run : runs) {
      if (at < run.rows()) {
        return run.batch().recordNumber(layer.recordOf(run.batch(), run.first() + at));
      }
      at -= run.rows();
    }
    throw new IllegalArgumentException("row " + row + " of " + rows());
  }

  /** Where their inputs lie. */
  InputRows inputs() {
    return layer.inputs(runs);
  }

  /** Where their outputs go. */
  OutputRows outputs() {
    return layer.outputs(runs);
  }

  /** What these rows occupy on the driver, encrypted, on the way up and down. */
  long bytes() {
    return layer.cipher().bytesUp(rows()) + layer.cipher().bytesDown(rows());
  }

  /** Names module, tensor and record of a quantisation error. */
  InvalidInputException explain(InvalidInputException error) {
    String where = "module " + layer.name() + ", tensor " + layer.spec().input();
    for (Run run : runs) {
      int record = layer.firstNotFinite(run);
      if (record >= 0) {
        return new InvalidInputException(
            where
                + ", record "
                + (run.batch().recordNumber(record) + 1)
                + ": a value that reaches the module is NaN or infinite ("
                + error.getMessage()
                + "); correct or drop the record",
            error);
      }
    }
    return new InvalidInputException(where + ": " + error.getMessage(), error);
  }
}
