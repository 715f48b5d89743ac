package org.fhespark.udf;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;

/**
 * What an executor does: evaluates a partition of encrypted blocks, each with the circuit that its
 * header names, and returns the blocks of results in order. It needs no key.
 */
public final class EvaluateBlocks implements FlatMapFunction<Iterator<byte[]>, byte[]> {
  private static final long serialVersionUID = 1L;

  private final Map<String, Broadcast<Circuit>> circuits;

  /**
   * @param circuits broadcast circuits by digest in hexadecimal
   */
  public EvaluateBlocks(Map<String, Broadcast<Circuit>> circuits) {
    this.circuits = Map.copyOf(circuits);
  }

  @Override
  public Iterator<byte[]> call(Iterator<byte[]> blocks) {
    return new Results(blocks);
  }

  private Broadcast<Circuit> circuitOf(String digest) {
    Broadcast<Circuit> circuit = circuits.get(digest);
    if (circuit == null) {
      throw new InvalidInputException(
          "an encrypted block is for circuit "
              + digest
              + ", which is not registered for this job: compile and score with one model");
    }
    return circuit;
  }

  /** Evaluates lazily, a batch of blocks of one circuit at a time. */
  private final class Results implements Iterator<byte[]> {
    private final Iterator<byte[]> blocks;
    private byte[] next;
    private Iterator<byte[]> ready = List.<byte[]>of().iterator();
    private final RunningTask task = RunningTask.current();

    Results(Iterator<byte[]> blocks) {
      this.blocks = blocks;
      advance();
    }

    private void advance() {
      next = blocks.hasNext() ? blocks.next() : null;
    }

    @Override
    public boolean hasNext() {
      return ready.hasNext() || next != null;
    }

    @Override
    public byte[] next() {
      if (!hasNext()) {
        throw new NoSuchElementException("all blocks are evaluated");
      }
      if (!ready.hasNext()) {
        ready = evaluateBatch().iterator();
      }
      return ready.next();
    }

    private List<byte[]> evaluateBatch() {
      String digest = BlockHeader.circuitOf(next);
      List<byte[]> batch = new ArrayList<>();
      long bytes = 0;
      while (next != null
          && digest.equals(BlockHeader.circuitOf(next))
          && (batch.isEmpty() || bytes + next.length <= BlockBatch.MAX_BYTES)) {
        batch.add(next);
        bytes += next.length;
        advance();
      }
      Circuit circuit = circuitOf(digest).value();
      try (CircuitRegistry.Lease lease = CircuitRegistry.shared().acquire(circuit)) {
        return task.evaluate(lease.circuit(), batch);
      }
    }
  }

  /** The only field of a block that Java reads; the native side checks all of them. */
  private static final class BlockHeader {
    private static final int CIRCUIT = 8;
    private static final int CIRCUIT_END = 40;

    static String circuitOf(byte[] block) {
      if (block.length < CIRCUIT_END) {
        throw new InvalidInputException("encrypted block is truncated: " + block.length + " bytes");
      }
      return java.util.HexFormat.of().formatHex(Arrays.copyOfRange(block, CIRCUIT, CIRCUIT_END));
    }
  }
}
