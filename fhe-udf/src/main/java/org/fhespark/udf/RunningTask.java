package org.fhespark.udf;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import org.apache.spark.TaskContext;
import org.apache.spark.util.TaskCompletionListener;

/**
 * What evaluation needs to know of the Spark task it runs in: how many cores it has, and whether
 * Spark has killed it.
 */
final class RunningTask {
  /** Empty outside Spark. */
  private final Optional<TaskContext> context;

  private RunningTask(Optional<TaskContext> context) {
    this.context = context;
  }

  /** The task of this thread. */
  static RunningTask current() {
    return new RunningTask(Optional.ofNullable(TaskContext.get()));
  }

  /**
   * Evaluates blocks on the cores of the task ({@code spark.task.cpus}), until it is killed.
   *
   * @throws org.apache.spark.TaskKilledException if Spark killed the task
   */
  List<EncryptedBlock> evaluate(BlockEvaluation evaluation, List<EncryptedBlock> blocks) {
    try {
      return BlockBatch.evaluate(evaluation, blocks, cores(), this::isKilled);
    } catch (CancellationException stopped) {
      context.ifPresent(TaskContext::killTaskIfInterrupted);
      throw stopped;
    }
  }

  /** Has something done when the task ends, well or not; outside Spark never. */
  void atEnd(Runnable action) {
    context.ifPresent(
        task -> task.addTaskCompletionListener((TaskCompletionListener) unused -> action.run()));
  }

  /** Cores of the task. */
  int cores() {
    return context.map(TaskContext::cpus).orElse(1);
  }

  private boolean isKilled() {
    return context.map(TaskContext::isInterrupted).orElse(false);
  }
}
