package org.fhespark.udf;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;
import org.apache.spark.TaskKilledException;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.broadcast.Broadcast;
import org.fhespark.InvalidInputException;
import org.fhespark.metrics.EvaluatedBlocks;
import org.fhespark.metrics.EvaluationAccumulators;
import org.fhespark.metrics.EvaluationMetrics;

/**
 * What an executor does: evaluates a partition of encrypted blocks, each with the circuit that its
 * header names, and returns the blocks of results in order: activations, and masks and records
 * apart ({@link org.fhespark.nativelib.PreparedMask}). It needs no secret; circuits of modules with
 * non-linearities need an evaluation key, circuits that re-randomise results a public key. Blocks
 * are closed once they are evaluated.
 */
public final class EvaluateBlocks
    implements FlatMapFunction<Iterator<EncryptedBlock>, EncryptedBlock> {
  private static final long serialVersionUID = 1L;

  private final Map<String, Broadcast<Circuit>> circuits;
  private final Map<String, EvaluationKeySource> keys;
  private final Map<String, Broadcast<PublicKeyBytes>> publicKeys;

  /** Null for none. */
  private final EvaluationAccumulators accumulators;

  /**
   * @param circuits broadcast circuits, all of them packed, by digest in hexadecimal
   */
  public EvaluateBlocks(Map<String, Broadcast<Circuit>> circuits) {
    this(circuits, Map.of());
  }

  /**
   * @param circuits broadcast circuits by digest in hexadecimal
   * @param keys the evaluation keys of those that need one, by the circuit's digest
   */
  public EvaluateBlocks(
      Map<String, Broadcast<Circuit>> circuits, Map<String, EvaluationKeySource> keys) {
    this(circuits, keys, Map.of());
  }

  /**
   * @param circuits broadcast circuits by digest in hexadecimal
   * @param keys the evaluation keys of those that need one, by the circuit's digest
   * @param publicKeys the public keys to re-randomise results with, by the id of the client key
   */
  public EvaluateBlocks(
      Map<String, Broadcast<Circuit>> circuits,
      Map<String, EvaluationKeySource> keys,
      Map<String, Broadcast<PublicKeyBytes>> publicKeys) {
    this(Map.copyOf(circuits), Map.copyOf(keys), Map.copyOf(publicKeys), null);
  }

  private EvaluateBlocks(
      Map<String, Broadcast<Circuit>> circuits,
      Map<String, EvaluationKeySource> keys,
      Map<String, Broadcast<PublicKeyBytes>> publicKeys,
      EvaluationAccumulators accumulators) {
    this.circuits = circuits;
    this.keys = keys;
    this.publicKeys = publicKeys;
    this.accumulators = accumulators;
  }

  /** The same for tasks of a job's last stage, counted in accumulators too. */
  public EvaluateBlocks counted(EvaluationAccumulators accumulators) {
    return new EvaluateBlocks(circuits, keys, publicKeys, accumulators);
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
    private boolean isClosedAtEnd;

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
      EncryptedBlock result = ready.next();
      if (hasNext() && !isClosedAtEnd) {
        task.atEnd(this::closeRest);
        isClosedAtEnd = true;
      }
      return result;
    }

    /** Of a task that ends before it has taken all. */
    private void closeRest() {
      ready.forEachRemaining(EncryptedBlock::close);
      if (next != null) {
        next.close();
      }
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
      try {
        return evaluate(batch, digest, keyId);
      } catch (CancellationException | TaskKilledException stopped) {
        throw stopped;
      } catch (RuntimeException error) {
        EvaluationMetrics.shared().failed(batch.size());
        throw error;
      } finally {
        batch.forEach(EncryptedBlock::close);
      }
    }

    private List<EncryptedBlock> evaluate(List<EncryptedBlock> batch, String digest, String keyId) {
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
        long start = System.nanoTime();
        List<EncryptedBlock> results = task.evaluate(lease.evaluation(), batch);
        EvaluatedBlocks done = count(batch, results);
        EvaluationMetrics.shared().evaluated(done, System.nanoTime() - start);
        if (accumulators != null) {
          accumulators.add(done);
        }
        return results;
      }
    }

    private static EvaluatedBlocks count(
        List<EncryptedBlock> blocks, List<EncryptedBlock> results) {
      long records = 0;
      long bytesUp = 0;
      long bytesDown = 0;
      long values = 0;
      for (int index = 0; index < blocks.size(); index++) {
        EncryptedBlock block = blocks.get(index);
        EncryptedBlock result = results.get(index);
        int ofBlock = BlockHeader.recordsOf(block);
        records += ofBlock;
        bytesUp += block.length();
        bytesDown += result.length();
        values += (long) ofBlock * BlockHeader.featuresOf(result);
      }
      return new EvaluatedBlocks(blocks.size(), records, bytesUp, bytesDown, values);
    }
  }
}
