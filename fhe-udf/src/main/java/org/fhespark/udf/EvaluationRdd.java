package org.fhespark.udf;

import java.util.List;
import org.apache.spark.Partition;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.executor.InputMetrics;
import org.apache.spark.executor.OutputMetrics;
import org.apache.spark.rdd.RDD;
import org.apache.spark.util.TaskFailureListener;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;

/**
 * Encrypted blocks of the driver's, each evaluated by a task of its own. The blocks travel in the
 * tasks, large ones beside them ({@link BroadcastBlock}); those of an RDD made by {@code
 * parallelize} would be serialised twice, one in the other.
 *
 * <p>For Spark's metrics of tasks a block is input, of so many records, and its result output.
 */
public final class EvaluationRdd extends RDD<EncryptedBlock> implements AutoCloseable {
  private static final long serialVersionUID = 1L;

  private final transient List<TaskBlock> blocks;
  private final EvaluateBlocks evaluation;

  /**
   * @param blocks stay open, for the caller to close when no job uses this RDD any more
   */
  public EvaluationRdd(SparkContext spark, List<EncryptedBlock> blocks, EvaluateBlocks evaluation) {
    super(
        spark,
        CollectionConverters.asScala(List.<org.apache.spark.Dependency<?>>of()).toSeq(),
        ClassTag$.MODULE$.apply(EncryptedBlock.class));
    this.blocks = blocks.stream().map(block -> TaskBlock.of(spark, block)).toList();
    this.evaluation = evaluation;
  }

  @Override
  public Partition[] getPartitions() {
    Partition[] partitions = new Partition[blocks.size()];
    for (int index = 0; index < partitions.length; index++) {
      partitions[index] = new BlockPartition(index, blocks.get(index));
    }
    return partitions;
  }

  @Override
  public Iterator<EncryptedBlock> compute(Partition partition, TaskContext context) {
    EncryptedBlock block = ((BlockPartition) partition).block.arrived();
    int bytes = block.length();
    int records = BlockHeader.recordsOf(block);
    // The block of the partition is closed by this.
    EncryptedBlock result = evaluation.call(List.of(block).iterator()).next();
    context.addTaskFailureListener((TaskFailureListener) (task, error) -> result.close());
    InputMetrics input = context.taskMetrics().inputMetrics();
    input.incBytesRead(bytes);
    input.incRecordsRead(records);
    OutputMetrics output = context.taskMetrics().outputMetrics();
    output.setBytesWritten(result.length());
    output.setRecordsWritten(records);
    return CollectionConverters.asScala(List.of(result).iterator());
  }

  /** Frees what executors were sent beside tasks, when no job uses this RDD any more. */
  @Override
  public void close() {
    blocks.forEach(TaskBlock::free);
  }

  /** The block of one task. */
  private static final class BlockPartition implements Partition {
    private static final long serialVersionUID = 1L;

    private final int index;
    private final TaskBlock block;

    BlockPartition(int index, TaskBlock block) {
      this.index = index;
      this.block = block;
    }

    @Override
    public int index() {
      return index;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof BlockPartition partition && partition.index == index;
    }

    @Override
    public int hashCode() {
      return index;
    }
  }
}
