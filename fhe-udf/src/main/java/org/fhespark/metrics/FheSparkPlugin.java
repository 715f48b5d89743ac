package org.fhespark.metrics;

import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * Shows {@link EvaluationMetrics} of every executor and {@link ClientMetrics} of the driver to all
 * sinks of Spark's metrics, as source {@code plugin.org.fhespark.metrics.FheSparkPlugin}. With a
 * local master all are the driver's: there is one JVM, and executors start before the application
 * has the id that names begin with.
 */
public final class FheSparkPlugin implements SparkPlugin {
  /** The setting that lists it. */
  public static final String SETTING = "spark.plugins";

  @Override
  public DriverPlugin driverPlugin() {
    return new Driver();
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return new Executor();
  }

  private static final class Driver implements DriverPlugin {
    @Override
    public Map<String, String> init(SparkContext spark, PluginContext context) {
      return Map.of();
    }

    @Override
    public void registerMetrics(String application, PluginContext context) {
      ClientMetrics.shared().registerIn(context.metricRegistry());
      if (isLocal(context)) {
        EvaluationMetrics.shared().registerIn(context.metricRegistry());
      }
      NativeMemoryGauges.registerIn(context.metricRegistry());
    }
  }

  private static final class Executor implements ExecutorPlugin {
    @Override
    public void init(PluginContext context, Map<String, String> settings) {
      if (!isLocal(context)) {
        EvaluationMetrics.shared().registerIn(context.metricRegistry());
        NativeMemoryGauges.registerIn(context.metricRegistry());
      }
    }
  }

  private static boolean isLocal(PluginContext context) {
    return context.conf().get("spark.master", "").matches("local(\\[.*)?");
  }
}
