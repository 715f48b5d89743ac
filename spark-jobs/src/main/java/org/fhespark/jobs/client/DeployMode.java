package org.fhespark.jobs.client;

import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;

/** Where the driver of a Spark session runs. */
final class DeployMode {
  private DeployMode() {}

  /**
   * Checks that the driver is on the machine that submitted it.
   *
   * @throws InvalidInputException if it is on the cluster
   */
  static void requireClient(SparkSession spark) {
    String mode = spark.sparkContext().getConf().get("spark.submit.deployMode", "client");
    if (mode.equals("cluster")) {
      throw new InvalidInputException(
          "deploy mode cluster would run the client, with its key and records, on the cluster: use"
              + " --deploy-mode client");
    }
  }
}
