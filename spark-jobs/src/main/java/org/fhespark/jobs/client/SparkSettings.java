package org.fhespark.jobs.client;

import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.serializer.KryoSerializer;
import org.fhespark.metrics.FheSparkPlugin;
import org.fhespark.udf.FheKryoRegistrator;

/**
 * Spark settings for sessions that score: Kryo, with our classes registered and, unless the
 * application says otherwise, with registration required, so that nothing unforeseen is serialised;
 * and the plugin that shows our metrics. They must be there before the session starts; a
 * registrator and plugins of the application's own stay.
 */
public final class SparkSettings {
  private static final String REGISTRATORS = "spark.kryo.registrator";

  private SparkSettings() {}

  /** Adds them to a configuration. */
  public static SparkConf addTo(SparkConf conf) {
    addClass(conf, REGISTRATORS, FheKryoRegistrator.class);
    addClass(conf, FheSparkPlugin.SETTING, FheSparkPlugin.class);
    return conf.setIfMissing("spark.serializer", KryoSerializer.class.getName())
        .setIfMissing("spark.kryo.registrationRequired", "true");
  }

  /** Adds a class to a setting that is a list of them, behind those of others. */
  private static void addClass(SparkConf conf, String setting, Class<?> added) {
    String ours = added.getName();
    List<String> others =
        Stream.of(conf.get(setting, "").split(","))
            .map(String::strip)
            .filter(name -> !name.isEmpty())
            .toList();
    if (!others.contains(ours)) {
      conf.set(setting, String.join(",", Stream.concat(others.stream(), Stream.of(ours)).toList()));
    }
  }
}
