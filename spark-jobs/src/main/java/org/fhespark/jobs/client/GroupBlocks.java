package org.fhespark.jobs.client;

import java.util.Arrays;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.parameters.BlockLimits;
import org.fhespark.nativelib.PackedParameters;

/**
 * The blocks of groups of records in one remote call: a group has blocks of its own, and all have
 * one number of rows, the last of a group being filled up with rows of zeros. Blocks are numbered
 * group by group.
 */
final class GroupBlocks {
  private final int rows;

  /** Number of each group's first block, and what would be the next. */
  private final long[] first;

  /**
   * @param records of each group
   * @param rows of a block
   * @param firstBlock number of the first
   */
  GroupBlocks(long[] records, int rows, long firstBlock) {
    this.rows = rows;
    this.first = new long[records.length + 1];
    first[0] = firstBlock;
    for (int group = 0; group < records.length; group++) {
      first[group + 1] = first[group] + blocks(records[group], rows);
    }
  }

  /**
   * How many rows blocks are to have: those with which the server multiplies the fewest rows, masks
   * among them, for all groups, while no group has more blocks than may be added.
   *
   * @param records of each group
   * @throws InvalidInputException if a group has too many records for that
   */
  static int rowsFor(RemoteLayer layer, long[] records) {
    int most = layer.cipher().blockRows();
    PackedParameters parameters = layer.spec().parameters();
    long largest = Arrays.stream(records).max().orElse(1);
    if (blocks(largest, most) > parameters.summands()) {
      throw new InvalidInputException(
          "module "
              + layer.name()
              + ": a group of "
              + largest
              + " records takes "
              + blocks(largest, most)
              + " blocks of "
              + most
              + ", and sums of "
              + parameters.summands()
              + " are all that it was compiled for; compile with --sums "
              + blocks(largest, most)
              + " or more, or make the group smaller");
    }
    long maskRows = (long) parameters.lweDimension() * parameters.limbs() / parameters.bodyLimbs();
    int best = most;
    long least = Long.MAX_VALUE;
    for (int rows = Math.min(BlockLimits.PANEL_ROWS, most);
        rows <= most;
        rows += BlockLimits.PANEL_ROWS) {
      int tried = rows;
      long work =
          Arrays.stream(records).map(group -> blocks(group, tried) * (maskRows + tried)).sum();
      if (blocks(largest, rows) <= parameters.summands() && work < least) {
        best = rows;
        least = work;
      }
    }
    return best;
  }

  private static long blocks(long records, int rows) {
    return -Math.floorDiv(-records, (long) rows);
  }

  /** Rows of every block. */
  int rows() {
    return rows;
  }

  /** Number of a group's first block, by which the group goes too. */
  long first(int group) {
    return first[group];
  }

  /** Blocks of a group. */
  int count(int group) {
    return Math.toIntExact(first[group + 1] - first[group]);
  }

  /**
   * What the numbers of a group's blocks add up to, mod 2^64: the number that their sum carries.
   */
  long numberOfSum(int group) {
    long count = count(group);
    return count * first[group] + count * (count - 1) / 2;
  }

  /** The number behind the last. */
  long end() {
    return first[first.length - 1];
  }
}
