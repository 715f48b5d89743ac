package org.fhespark.jobs.client;

import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;

/** Our settings as a session has them: its application's, unless the session says otherwise. */
final class SessionSettings {
  private static final String OURS = "spark.fhe.";

  private SessionSettings() {}

  static SparkConf of(SparkSession spark) {
    SparkConf settings = spark.sparkContext().getConf();
    spark
        .conf()
        .getAll()
        .foreach(
            setting -> {
              if (setting._1.startsWith(OURS)) {
                settings.set(setting._1, setting._2);
              }
              return null;
            });
    return settings;
  }
}
