package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.spark.SparkException;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.Test;

class ExecutorBlockEvaluatorTest {
  @Test
  void aJobThatTheClusterFailsIsOneLine() {
    SparkException lost =
        new SparkException(
            "Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times, most recent"
                + " failure: Lost task 0.3\nDriver stacktrace:");
    RuntimeException told = ExecutorBlockEvaluator.explain(lost);
    assertInstanceOf(FailedJobException.class, told);
    assertTrue(told.getMessage().startsWith("the Spark job failed: Job aborted due to stage"));
    assertEquals(1, told.getMessage().lines().count());
  }

  @Test
  void anErrorOfOursInATaskIsNoFailureOfTheCluster() {
    SparkException broken = new SparkException("Job aborted", new NullPointerException("ours"));
    assertInstanceOf(IllegalStateException.class, ExecutorBlockEvaluator.explain(broken));
    InvalidInputException damaged = new InvalidInputException("block 3 is damaged");
    assertSame(damaged, ExecutorBlockEvaluator.explain(new SparkException("Job aborted", damaged)));
  }
}
