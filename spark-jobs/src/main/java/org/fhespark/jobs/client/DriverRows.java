package org.fhespark.jobs.client;

import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.plans.logical.LocalRelation;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.fhespark.InvalidInputException;

/** The rows of a dataset, if they can be had without showing them to untrusted executors. */
final class DriverRows {
  private DriverRows() {}

  /**
   * Collects a dataset that is already on the driver, or any dataset where driver and executors are
   * one process.
   *
   * @throws InvalidInputException if a cluster's executors would have to compute it
   */
  static List<Row> of(Dataset<Row> records) {
    boolean isLocalMaster = records.sparkSession().sparkContext().isLocal();
    LogicalPlan plan =
        ((org.apache.spark.sql.classic.Dataset<Row>) records).queryExecution().optimizedPlan();
    if (!isLocalMaster && !(plan instanceof LocalRelation)) {
      throw new InvalidInputException(
          "forward: the executors would compute these records in clear; write them to a table that the"
              + " driver can read and give its path to score, or make the dataset with"
              + " createDataFrame(List, schema)");
    }
    List<Row> rows = records.collectAsList();
    if (rows.isEmpty()) {
      throw new InvalidInputException("forward: the dataset has no records");
    }
    return rows;
  }
}
