package org.fhespark.jobs.tables;

import org.apache.spark.sql.SparkSession;

/** A Spark session inside the test's process. */
final class LocalSession {
  private LocalSession() {}

  static SparkSession start() {
    return SparkSession.builder()
        .master("local[1]")
        .appName("tables")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .getOrCreate();
  }
}
