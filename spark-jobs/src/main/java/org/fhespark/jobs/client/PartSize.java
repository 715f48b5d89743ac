package org.fhespark.jobs.client;

import java.util.List;
import org.apache.spark.SparkConf;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.TensorSpec;

/**
 * How many records a part of a scored table holds: some seconds of work, which is what a run that
 * is killed loses. It depends on the model alone, so that runs cut their tables alike.
 */
final class PartSize {
  /** The setting that says another number. */
  static final String RECORDS = "spark.fhe.score.partRecords";

  /** Work of a part, in blocks of packed layers. */
  private static final long PART_BLOCKS = 256;

  /** Blocks of circuits with look-ups are made to take some seconds each. */
  private static final long BLOCKS_OF_LOOKUPS = 128;

  /** Those of leveled circuits take some tenths of a second, of large ones tens of seconds. */
  private static final long BLOCKS_OF_LEVELED = 16;

  /** Files cost as much as some ten thousand records of a small model. */
  private static final long MOST_RECORDS = 1 << 18;

  /** What the inputs of a part may take, for a run that goes on holds them. */
  private static final long MOST_BYTES = 64L << 20;

  /** Positions of a sequence or an image where the model does not say. */
  private static final long POSITIONS = 64;

  private PartSize() {}

  /**
   * Records of a part, at least 1.
   *
   * @param inputs the model's inputs
   * @throws InvalidInputException if a setting says a number that is none
   */
  static int of(List<RemoteLayer> layers, List<TensorSpec> inputs, SparkConf conf) {
    if (conf.contains(RECORDS)) {
      return set(conf.get(RECORDS));
    }
    double blocksOfARecord = 0;
    long positions = inputs.stream().mapToLong(PartSize::positions).max().orElse(1);
    long block = layers.isEmpty() ? 1 : MOST_RECORDS;
    for (RemoteLayer layer : layers) {
      long rows = layer.readsRecords() ? 1 : positions;
      blocksOfARecord += (double) rows * cost(layer) / layer.cipher().blockRows();
      block = Math.min(block, Math.max(1, layer.cipher().blockRows() / rows));
    }
    long bytes = inputs.stream().mapToLong(PartSize::bytes).sum();
    double most = Math.min(MOST_RECORDS, (double) MOST_BYTES / Math.max(1, bytes));
    // Whole blocks, so that a run that goes on fills them as one that began at the first record.
    long blocks = (long) (Math.min(most, PART_BLOCKS / blocksOfARecord) / block);
    return (int) (Math.max(1, blocks) * block);
  }

  private static long cost(RemoteLayer layer) {
    if (layer.spec().isLeveled()) {
      return BLOCKS_OF_LEVELED;
    }
    return layer.spec().hasLookups() ? BLOCKS_OF_LOOKUPS : 1;
  }

  private static int set(String records) {
    try {
      int number = Integer.parseInt(records);
      if (number > 0) {
        return number;
      }
    } catch (NumberFormatException error) {
      // Told below.
    }
    throw new InvalidInputException(
        RECORDS + " is '" + records + "': give the records of a part of the output, at least 1");
  }

  /** Rows that a layer may make of a record of this input; rather too many. */
  private static long positions(TensorSpec input) {
    List<Long> shape = input.shape();
    if (input.elementsPerRecord() < 0) {
      return POSITIONS;
    }
    if (shape.isEmpty() || input.elementsPerRecord() == 0) {
      return 1;
    }
    if (shape.size() == 1) {
      boolean isOfTokens = input.type() == ElementType.INT64 || input.type() == ElementType.INT32;
      return isOfTokens ? shape.get(0) : 1;
    }
    return Math.max(shape.get(0), input.elementsPerRecord() / shape.get(0));
  }

  private static long bytes(TensorSpec input) {
    long elements = input.elementsPerRecord();
    return (elements < 0 ? POSITIONS : elements) * Tensor.bytesOf(input.type());
  }
}
