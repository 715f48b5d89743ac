package org.fhespark.udf;

import java.io.Serializable;
import org.apache.spark.SparkContext;

/** An encrypted block on its way to the task that evaluates it. */
sealed interface TaskBlock extends Serializable permits TaskBlock.Inside, BroadcastBlock {

  /**
   * A block in the way that suits its size.
   *
   * @param block stays the caller's
   */
  static TaskBlock of(SparkContext spark, EncryptedBlock block) {
    return LocalHandover.isPossible() || block.length() <= BroadcastBlock.mostInTask(spark)
        ? new Inside(block)
        : BroadcastBlock.of(spark, block);
  }

  /** The block, in the task, whose it is then. */
  EncryptedBlock arrived();

  /** Frees what was made for the way, on the driver. */
  void free();

  /** Travels in the task. */
  record Inside(EncryptedBlock arrived) implements TaskBlock {
    @Override
    public void free() {}
  }
}
