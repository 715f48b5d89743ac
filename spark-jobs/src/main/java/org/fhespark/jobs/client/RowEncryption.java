package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Future;
import java.util.function.LongSupplier;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.InputRows;
import org.fhespark.udf.EncryptedBlock;

/** Quantises and encrypts rows, and measures it. */
final class RowEncryption {
  private final LongSupplier numbers;
  private final ClientThreads threads;
  private final Measurements measurements;

  /**
   * @param numbers of blocks, each once
   */
  RowEncryption(LongSupplier numbers, ClientThreads threads, Measurements measurements) {
    this.numbers = numbers;
    this.threads = threads;
    this.measurements = measurements;
  }

  /** A number for a block. */
  long nextNumber() {
    return numbers.getAsLong();
  }

  /** Encrypts blocks side by side; the caller closes them. */
  List<SentBlock> encrypt(List<RowBlock> blocks) {
    List<Future<SentBlock>> futures = new ArrayList<>();
    for (RowBlock rows : blocks) {
      futures.add(threads.submit(() -> encrypt(rows, threads.coresEach(blocks.size()))));
    }
    ClientThreads.awaitAll(futures);
    List<SentBlock> sent = futures.stream().map(ClientThreads::await).toList();
    for (SentBlock one : sent) {
      SentRows rows = one.rows();
      measurements.valuesUp.add((long) rows.scales().length * rows.rows().layer().spec().dIn());
    }
    return sent;
  }

  private SentBlock encrypt(RowBlock rows, int cores) {
    float[] scales = new float[rows.rows()];
    long number = nextNumber();
    RemoteLayer layer = rows.layer();
    SentBlock sent;
    try (var unused = measurements.time(Step.ENCRYPT)) {
      EncryptedBlock block = EncryptedBlock.allocate(layer.cipher().blockBytes(scales.length));
      InputRows inputs = rows.inputs();
      Optional<PreparedMasks.Slots> slots =
          layer.isMostlyMask(scales.length)
              ? layer.preparedMasks().encrypt(inputs, scales, number, block.bytes())
              : Optional.empty();
      if (slots.isPresent()) {
        measurements.preparedRows.add(scales.length);
      } else {
        layer.cipher().encrypt(inputs, scales, number, cores, block.bytes());
      }
      sent = new SentBlock(new SentRows(rows, number, scales, slots), block);
    } catch (InvalidInputException error) {
      throw rows.explain(error);
    }
    try {
      measurements.clampedRows.add(layer.cipher().clamped(rows, scales));
      return sent;
    } catch (InvalidInputException error) {
      sent.block().close();
      throw error;
    }
  }
}
