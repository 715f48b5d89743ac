package org.fhespark.jobs.blocks;

import org.apache.spark.SparkContext;

/**
 * What Spark's pages call the jobs of this thread until it is closed; then it is again what the
 * caller called them.
 */
public final class JobDescription implements AutoCloseable {
  private static final String PROPERTY = "spark.job.description";

  private final SparkContext spark;
  private final String before;

  private JobDescription(SparkContext spark) {
    this.spark = spark;
    this.before = spark.getLocalProperty(PROPERTY);
  }

  /** Describes the jobs to come. */
  public static JobDescription set(SparkContext spark, String description) {
    JobDescription set = new JobDescription(spark);
    spark.setJobDescription(description);
    return set;
  }

  @Override
  public void close() {
    spark.setJobDescription(before);
  }
}
