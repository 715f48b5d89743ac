package org.fhespark.udf;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;

/**
 * What an executor does: evaluates a partition of encrypted blocks, each with the circuit that its
 * header names, and returns the blocks of results in order: activations, and masks and records
 * apart ({@link org.fhespark.nativelib.PreparedMask}). It needs no secret; circuits with look-ups
 * need an evaluation key, circuits that re-randomise results a public key. Blocks are closed once
 * they are evaluated.
 */
public final class EvaluateBlocks
    implements FlatMapFunction<Iterator<EncryptedBlock>, EncryptedBlock> {
  private static final long serialVersionUID = 1L;

  private final Map<String, Broadcast<Circuit>> circuits;
  private final Map<String, EvaluationKeySource> keys;
  private final Map<String, Broadcast<PublicKeyBytes>> publicKeys;

  /**
   * @param circuits broadcast circuits, all of them packed, by digest in hexadecimal
   */
  public EvaluateBlocks(Map<String, Broadcast<Circuit>> circuits) {
    this(circuits, Map.of());
  }

  /**
   * @param circuits broadcast circuits by digest in hexadecimal
   * @param keys the evaluation keys of those with look-ups, by the circuit's digest
   */
  public EvaluateBlocks(
      Map<String, Broadcast<Circuit>> circuits, Map<String, EvaluationKeySource> keys) {
    this(circuits, keys, Map.of());
  }

  /**
   * @param circuits broadcast circuits by digest in hexadecimal
   * @param keys the evaluation keys of those with look-ups, by the circuit's digest
   * @param publicKeys the public keys to re-randomise results with, by the id of the client key
   */
  public EvaluateBlocks(
      Map<String, Broadcast<Circuit>> circuits,
      Map<String, EvaluationKeySource> keys,
      Map<String, Broadcast<PublicKeyBytes>> publicKeys) {
    this.publicKeys = Map.copyOf(publicKeys);
    this.circuits = Map.copyOf(circuits);
    this.keys = Map.copyOf(keys);
  }

  @Override
  public Iterator<EncryptedBlock> call(Iterator<EncryptedBlock> blocks) {
    return new Results(blocks);
  }

  private Broadcast<Circuit> circuitOf(String digest) {
    Broadcast<Circuit> circuit = circuits.get(digest);
    if (circuit == null) {
      throw new InvalidInputException(
          "an encrypted block is for circuit "
              + digest
              + ", which is not registered for this job: give its model's server folder");
    }
    return circuit;
  }

  /** Evaluates lazily, a batch of blocks of one circuit and key at a time. */
  private final class Results implements Iterator<EncryptedBlock> {
    private final Iterator<EncryptedBlock> blocks;
    private EncryptedBlock next;
    private Iterator<EncryptedBlock> ready = List.<EncryptedBlock>of().iterator();
    private final RunningTask task = RunningTask.current();

    Results(Iterator<EncryptedBlock> blocks) {
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
    public EncryptedBlock next() {
      if (!hasNext()) {
        throw new NoSuchElementException("all blocks are evaluated");
      }
      if (!ready.hasNext()) {
        ready = evaluateBatch().iterator();
      }
      return ready.next();
    }

    private List<EncryptedBlock> evaluateBatch() {
      String digest = BlockHeader.circuitOf(next);
      String keyId = BlockHeader.keyOf(next);
      List<EncryptedBlock> batch = new ArrayList<>();
      long bytes = 0;
      boolean isMaskOrder;
      do {
        isMaskOrder = BlockHeader.isMaskOrder(next);
        batch.add(next);
        bytes += next.length();
        advance();
      } while (next != null
          // A mask order's results are many times as large as it is: those go one by one.
          && !isMaskOrder
          && digest.equals(BlockHeader.circuitOf(next))
          && keyId.equals(BlockHeader.keyOf(next))
          && !BlockHeader.isMaskOrder(next)
          && bytes + next.length() <= BlockBatch.MAX_BYTES);
      Circuit circuit = circuitOf(digest).value();
      EvaluationKeySource key = keys.get(digest);
      CircuitRegistry registry = CircuitRegistry.shared();
      Broadcast<PublicKeyBytes> publicKey = publicKeys.get(keyId);
      try (CircuitRegistry.Lease lease =
          key != null
              ? registry.acquire(circuit, key, keyId, task.cores())
              : publicKey != null
                  ? registry.acquire(circuit, publicKey.value())
                  : registry.acquire(circuit)) {
        return task.evaluate(lease.evaluation(), batch);
      } finally {
        batch.forEach(EncryptedBlock::close);
      }
    }
  }
}
