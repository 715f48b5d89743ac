package org.fhespark.jobs.client;

import java.util.List;
import java.util.Set;
import java.util.function.ObjIntConsumer;
import org.fhespark.udf.EncryptedBlock;

/** The server, as the client sees it: takes encrypted blocks and returns their results. */
interface BlockEvaluator extends AutoCloseable {
  /**
   * Evaluates blocks; returns when all results are handed over.
   *
   * @param description what the work is called where its progress is shown
   * @param circuits the digests of the blocks' circuits, in hexadecimal
   * @param blocks stay open, for the caller to close
   * @param results takes each result, with the index of its block; on any thread, without waiting
   *     for anything, and more than once if a block was evaluated again
   * @throws org.fhespark.InvalidInputException if the server refuses a block
   * @throws java.util.concurrent.CancellationException after {@link #cancel}
   */
  void evaluate(
      String description,
      Set<String> circuits,
      List<EncryptedBlock> blocks,
      ObjIntConsumer<EncryptedBlock> results);

  /** Blocks that it works on at a time, as far as is known now; at least 1. */
  int parallelism();

  /** Bytes of blocks and results that one call may bring to the client's memory. */
  long mostBytes();

  /** Makes evaluations that are under way end soon, with an error. */
  void cancel();

  @Override
  void close();
}
