package org.fhespark.jobs.cli;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.SparkSettings;
import picocli.CommandLine.Option;

/** Which Spark a command runs on, and the settings it needs. */
final class SparkOptions {
  @Option(
      names = "--master",
      paramLabel = "URL",
      description = "Spark master; by default what spark-submit gave, else local[*].")
  private String master;

  @Option(
      names = "--conf",
      paramLabel = "KEY=VALUE",
      description = "A Spark setting; may be repeated.")
  private Map<String, String> settings = new LinkedHashMap<>();

  /** Starts or joins the Spark session; the caller stops it. */
  SparkSession open(String command) {
    return open(command, Map.of());
  }

  /**
   * Starts or joins the Spark session; the caller stops it.
   *
   * @param defaults of settings that the caller of the command did not give
   */
  SparkSession open(String command, Map<String, String> defaults) {
    SparkConf conf = new SparkConf();
    // Unless told otherwise, spark-submit calls all commands by this class.
    if (conf.get("spark.app.name", FheSpark.class.getName()).equals(FheSpark.class.getName())) {
      conf.setAppName("fhe-spark " + command);
    }
    settings.forEach(conf::set);
    defaults.forEach(conf::setIfMissing);
    SparkSettings.addTo(conf);
    if (master != null) {
      conf.setMaster(master);
    }
    if (!conf.contains("spark.master")) {
      // Embedded: nobody looks at the web interface of a process that ends with the command.
      conf.setMaster("local[*]");
      conf.setIfMissing("spark.ui.enabled", "false");
    }
    if (!conf.get("spark.master").startsWith("local") && !conf.contains("spark.jars")) {
      // Started without spark-submit, which would have shipped this jar to the executors.
      conf.setJars(JavaSparkContext.jarOfClass(FheSpark.class));
    }
    try {
      return SparkSession.builder().config(conf).getOrCreate();
    } catch (Exception error) {
      // Scala throws checked exceptions undeclared, so that anything may come here.
      throw new InvalidInputException(
          "Spark does not start on master " + conf.get("spark.master") + ": " + reason(error),
          error);
    }
  }

  private static String reason(Throwable error) {
    Throwable cause = error;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    String message = String.valueOf(cause.getMessage());
    return message.lines().findFirst().orElse(message);
  }
}
