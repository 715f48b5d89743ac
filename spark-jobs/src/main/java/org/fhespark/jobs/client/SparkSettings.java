package org.fhespark.jobs.client;

import java.util.List;
import org.apache.spark.SparkConf;
import org.apache.spark.serializer.KryoSerializer;
import org.fhespark.udf.FheKryoRegistrator;

/**
 * Spark settings for sessions that score: Kryo, with our classes registered and, unless the
 * application says otherwise, with registration required, so that nothing unforeseen is serialised.
 * They must be there before the session starts; a registrator of the application's own stays.
 */
public final class SparkSettings {
  private static final String REGISTRATORS = "spark.kryo.registrator";

  private SparkSettings() {}

  /** Adds them to a configuration. */
  public static SparkConf addTo(SparkConf conf) {
    String ours = FheKryoRegistrator.class.getName();
    String others = conf.get(REGISTRATORS, "");
    if (!List.of(others.split(",")).contains(ours)) {
      conf.set(REGISTRATORS, others.isEmpty() ? ours : others + "," + ours);
    }
    return conf.setIfMissing("spark.serializer", KryoSerializer.class.getName())
        .setIfMissing("spark.kryo.registrationRequired", "true");
  }
}
