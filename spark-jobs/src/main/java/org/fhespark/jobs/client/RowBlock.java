package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.OutputRows;

/**
 * Rows of a remote call that are quantised, and may travel, together: they fill up over the batches
 * of a wave, in the order of the batches and of the rows of each.
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
   * Makes room for a call's outputs in the batches of a wave and cuts its rows into blocks. Rows
   * that the padding mask leaves out are in none; their outputs are zero.
   */
  static List<RowBlock> of(RemoteLayer layer, List<Batch> wave) {
    int most = layer.blockRows();
    List<RowBlock> blocks = new ArrayList<>();
    List<Run> runs = new ArrayList<>();
    int filled = 0;
    for (Batch batch : wave) {
      layer.allocateOutputs(batch);
      if (filled > 0 && !layer.canShareBlock(runs.get(0).batch(), batch)) {
        blocks.add(new RowBlock(layer, List.copyOf(runs)));
        runs.clear();
        filled = 0;
      }
      for (Run active : layer.activeRows(batch)) {
        int taken = 0;
        while (taken < active.rows()) {
          int rows = Math.min(active.rows() - taken, most - filled);
          runs.add(new Run(batch, active.first() + taken, rows));
          taken += rows;
          filled += rows;
          if (filled == most) {
            blocks.add(new RowBlock(layer, List.copyOf(runs)));
            runs.clear();
            filled = 0;
          }
        }
      }
    }
    if (!runs.isEmpty()) {
      blocks.add(new RowBlock(layer, List.copyOf(runs)));
    }
    return blocks;
  }

  /** Their number. */
  int rows() {
    return runs.stream().mapToInt(Run::rows).sum();
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
    return layer.bytesUp(rows()) + layer.bytesDown(rows());
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
                + ": a value that reaches the module is NaN or infinite; correct or drop the record",
            error);
      }
    }
    return new InvalidInputException(where + ": " + error.getMessage(), error);
  }
}
