package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.fhespark.nativelib.MaskOrder;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.udf.EncryptedBlock;

/**
 * A block that is evaluated in parts ({@link BlockCut}): keeps the results of those that are done
 * until all are.
 */
final class PartedBlock implements AutoCloseable {
  private final SentRows rows;

  /** Of the mask, then of the runs; null until it is there. */
  private final EncryptedBlock[] results;

  /**
   * One part, to be sent.
   *
   * @param rows that the server multiplies for it, as long as those of a record
   */
  record Part(PartedBlock whole, int index, int rows, EncryptedBlock block) {}

  private PartedBlock(SentRows rows, int parts) {
    this.rows = rows;
    this.results = new EncryptedBlock[parts];
  }

  /**
   * Cuts a block, and closes it.
   *
   * @param runs records of each run
   * @return the parts, in an order in which the longest begin first; the caller closes them
   */
  static List<Part> cut(SentBlock sent, List<Integer> runs) {
    PartedBlock whole = new PartedBlock(sent.rows(), 1 + runs.size());
    ModuleClient client = sent.rows().rows().layer().client();
    List<Part> parts = new ArrayList<>();
    try (EncryptedBlock block = sent.block()) {
      EncryptedBlock mask = EncryptedBlock.allocate(MaskOrder.BLOCK_BYTES);
      PackedParameters parameters = client.spec().parameters();
      int maskRows = parameters.lweDimension() * parameters.limbs() / parameters.bodyLimbs();
      parts.add(new Part(whole, 0, maskRows, mask));
      client.cutMask(block.bytes(), mask.bytes());
      int first = 0;
      for (int run : runs) {
        EncryptedBlock records = EncryptedBlock.allocate(client.blockBytes(run));
        parts.add(new Part(whole, parts.size(), run, records));
        client.cutRecords(block.bytes(), first, run, records.bytes());
        first += run;
      }
    } catch (Throwable error) {
      parts.forEach(part -> part.block().close());
      throw error;
    }
    parts.sort(Comparator.comparingInt(Part::rows).reversed());
    return parts;
  }

  SentRows rows() {
    return rows;
  }

  /** Takes a part's result; gives those of all parts, in order, once: the caller closes them. */
  synchronized Optional<List<EncryptedBlock>> take(int part, EncryptedBlock result) {
    results[part] = result;
    if (Arrays.stream(results).anyMatch(Objects::isNull)) {
      return Optional.empty();
    }
    List<EncryptedBlock> all = List.of(results.clone());
    Arrays.fill(results, null);
    return Optional.of(all);
  }

  /** Closes what came and was not given. */
  @Override
  public synchronized void close() {
    Arrays.stream(results).filter(Objects::nonNull).forEach(EncryptedBlock::close);
    Arrays.fill(results, null);
  }
}
