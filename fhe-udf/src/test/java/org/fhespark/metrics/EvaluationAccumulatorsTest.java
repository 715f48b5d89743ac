package org.fhespark.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.codahale.metrics.MetricRegistry;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkException;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.serializer.KryoSerializer;
import org.fhespark.udf.EncryptedBlock;
import org.fhespark.udf.EvaluateBlocks;
import org.fhespark.udf.EvaluationRdd;
import org.fhespark.udf.FheKryoRegistrator;
import org.fhespark.udf.Layer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import scala.collection.Iterator;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;

/** What accumulators and metrics say of tasks that Spark runs more than once. */
class EvaluationAccumulatorsTest {
  private static final int INPUTS = 6;
  private static final int OUTPUTS = 3;
  private static final List<Integer> RECORDS = List.of(10, 256, 65, 1);

  private static JavaSparkContext spark;
  private static Layer layer;
  private static EvaluateBlocks evaluation;

  @BeforeAll
  static void start() {
    spark =
        new JavaSparkContext(
            new SparkConf()
                // Three attempts of a task.
                .setMaster("local[2,3]")
                .setAppName("accumulators")
                .set("spark.ui.enabled", "false")
                .set("spark.serializer", KryoSerializer.class.getName())
                .set("spark.kryo.registrator", FheKryoRegistrator.class.getName())
                .set("spark.kryo.registrationRequired", "true"));
    layer = Layer.random(INPUTS, OUTPUTS, 1);
    evaluation =
        new EvaluateBlocks(Map.of(layer.circuit().digest().hex(), spark.broadcast(layer.circuit())))
            .counted(EvaluationAccumulators.of(spark.sc()));
  }

  @AfterAll
  static void stop() {
    layer.close();
    spark.stop();
  }

  /** Fails some attempts of the second task, behind the evaluation of its block. */
  private static final class FailingAttempts
      extends AbstractFunction2<TaskContext, Iterator<EncryptedBlock>, EncryptedBlock>
      implements Serializable {
    private static final long serialVersionUID = 1L;

    private final int failures;

    FailingAttempts(int failures) {
      this.failures = failures;
    }

    @Override
    public EncryptedBlock apply(TaskContext task, Iterator<EncryptedBlock> results) {
      EncryptedBlock result = results.next();
      if (task.partitionId() == 1 && task.attemptNumber() < failures) {
        throw new IllegalStateException("attempt " + task.attemptNumber() + " was to fail");
      }
      return result;
    }
  }

  /** What a job adds. */
  private record Counted(EvaluatedBlocks once, long attempted, long failed) {}

  private static Counted run(List<byte[]> blocks, int failures) {
    EvaluationAccumulators accumulators = EvaluationAccumulators.of(spark.sc());
    EvaluatedBlocks before = accumulators.total();
    long attemptedBefore = metric("blocks");
    long failedBefore = metric("failedBlocks");
    List<EncryptedBlock> sent = blocks.stream().map(EncryptedBlock::copyOf).toList();
    try {
      Object results =
          spark
              .sc()
              .runJob(
                  new EvaluationRdd(spark.sc(), sent, evaluation),
                  new FailingAttempts(failures),
                  ClassTag$.MODULE$.apply(EncryptedBlock.class));
      for (EncryptedBlock result : (EncryptedBlock[]) results) {
        result.close();
      }
    } finally {
      sent.forEach(EncryptedBlock::close);
    }
    EvaluatedBlocks after = accumulators.total();
    return new Counted(
        new EvaluatedBlocks(
            after.blocks() - before.blocks(),
            after.records() - before.records(),
            after.bytesUp() - before.bytesUp(),
            after.bytesDown() - before.bytesDown(),
            0),
        metric("blocks") - attemptedBefore,
        metric("failedBlocks") - failedBefore);
  }

  private static long metric(String name) {
    MetricRegistry registry = new MetricRegistry();
    EvaluationMetrics.shared().registerIn(registry);
    return registry.getCounters().get(name).getCount();
  }

  private static List<byte[]> blocks() {
    List<byte[]> blocks = new ArrayList<>();
    for (int records : RECORDS) {
      blocks.add(layer.encrypt(layer.records(records, records), blocks.size()));
    }
    return blocks;
  }

  @Test
  void aTaskThatIsRunAgainCountsOnceInAccumulatorsAndTwiceInMetrics() {
    List<byte[]> blocks = blocks();
    Counted undisturbed = run(blocks, 0);
    assertEquals(RECORDS.size(), undisturbed.once().blocks());
    assertEquals(RECORDS.stream().mapToLong(each -> each).sum(), undisturbed.once().records());
    assertEquals(
        blocks.stream().mapToLong(block -> block.length).sum(), undisturbed.once().bytesUp());
    assertTrue(undisturbed.once().bytesDown() > 0, undisturbed.toString());
    assertEquals(RECORDS.size(), undisturbed.attempted());
    for (int failures = 1; failures <= 2; failures++) {
      Counted disturbed = run(blocks, failures);
      assertEquals(undisturbed.once(), disturbed.once());
      assertEquals(RECORDS.size() + failures, disturbed.attempted());
      assertEquals(0, disturbed.failed(), "it is not the evaluation that failed");
    }
  }

  @Test
  void aBlockThatCannotBeEvaluatedIsAFailureOfEveryAttempt() {
    List<byte[]> blocks = blocks();
    byte[] damaged = blocks.get(2);
    damaged[damaged.length - 1] ^= 1;
    long before = metric("failedBlocks");
    assertThrows(SparkException.class, () -> run(blocks, 0));
    assertEquals(3, metric("failedBlocks") - before);
  }

  @Test
  void sparkSeesBlocksAsInputAndResultsAsOutputOfTasks() throws Exception {
    AtomicLong[] seen = {new AtomicLong(), new AtomicLong(), new AtomicLong(), new AtomicLong()};
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onTaskEnd(SparkListenerTaskEnd end) {
            if (end.taskInfo().successful()) {
              seen[0].addAndGet(end.taskMetrics().inputMetrics().bytesRead());
              seen[1].addAndGet(end.taskMetrics().inputMetrics().recordsRead());
              seen[2].addAndGet(end.taskMetrics().outputMetrics().bytesWritten());
              seen[3].addAndGet(end.taskMetrics().outputMetrics().recordsWritten());
            }
          }
        };
    spark.sc().addSparkListener(listener);
    EvaluatedBlocks counted = run(blocks(), 1).once();
    spark.sc().listenerBus().waitUntilEmpty();
    spark.sc().removeSparkListener(listener);
    assertEquals(counted.bytesUp(), seen[0].get());
    assertEquals(counted.records(), seen[1].get());
    assertEquals(counted.bytesDown(), seen[2].get());
    assertEquals(counted.records(), seen[3].get());
  }

  @Test
  void aContextHasOneSet() {
    assertSame(EvaluationAccumulators.of(spark.sc()), EvaluationAccumulators.of(spark.sc()));
  }
}
