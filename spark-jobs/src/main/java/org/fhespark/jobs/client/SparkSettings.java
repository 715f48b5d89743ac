package org.fhespark.jobs.client;

import org.apache.spark.SparkConf;
import org.apache.spark.serializer.KryoSerializer;
import org.fhespark.udf.FheKryoRegistrator;

/**
 * The Spark settings that encrypted scoring needs; they must be there before the session starts.
 */
public final class SparkSettings {
  private SparkSettings() {}

  /**
   * Adds Kryo with our classes, and with registration required: nothing unknown is ever serialised.
   */
  public static SparkConf addTo(SparkConf conf) {
    return conf.set("spark.serializer", KryoSerializer.class.getName())
        .set("spark.kryo.registrator", FheKryoRegistrator.class.getName())
        .set("spark.kryo.registrationRequired", "true");
  }
}
