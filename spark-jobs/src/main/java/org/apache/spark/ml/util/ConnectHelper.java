package org.apache.spark.ml.util;

import org.apache.spark.sql.SparkSession;

/**
 * Stands for Spark's class of this name where spark-mllib is not on the class path, which is with
 * embedded Spark: the Connect server makes one when a session ends. A Spark distribution has the
 * real one, before ours.
 */
public final class ConnectHelper {
  /** As the real one's. */
  @SuppressWarnings("unused")
  public ConnectHelper(SparkSession spark) {}
}
