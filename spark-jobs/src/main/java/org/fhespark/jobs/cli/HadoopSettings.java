package org.fhespark.jobs.cli;

import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.SparkHadoopUtil;

/** Hadoop's settings for commands that read artefacts or models and start no Spark. */
final class HadoopSettings {
  private HadoopSettings() {}

  /**
   * Those of Hadoop's files, and over them the {@code spark.hadoop.*} that spark-submit was given,
   * as Spark has them.
   */
  static Configuration submitted() {
    return SparkHadoopUtil.get().newConfiguration(new SparkConf());
  }
}
