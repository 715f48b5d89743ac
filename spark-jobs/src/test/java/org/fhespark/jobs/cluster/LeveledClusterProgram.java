package org.fhespark.jobs.cluster;

import java.nio.file.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.nativelib.ClientKey;

/**
 * A driver with a leveled model, on a cluster of two executor JVMs whose messages are far smaller
 * than its blocks; says on standard output how it went. Arguments: the compiled model, the folder
 * of keys, the input, the output.
 */
final class LeveledClusterProgram {
  private LeveledClusterProgram() {}

  public static void main(String[] arguments) throws Exception {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local-cluster[2,1,1024]")
            .setAppName("local cluster with leveled circuits")
            .set("spark.ui.enabled", "false")
            .set("spark.rpc.message.maxSize", "2")
            .set("spark.executor.extraClassPath", System.getProperty("java.class.path"));
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    try {
      LocalClusterProgram.awaitExecutors(spark);
      HybridModel model = Digits.load(Path.of(arguments[0]));
      Path keys = Path.of(arguments[1]);
      try (ClientKey key = ClientKey.load(keys.resolve("client.key"));
          HybridSession session = model.session(spark, Mode.EXECUTE, key, keys)) {
        ScoreReport report =
            session.score(
                Digits.hadoop(Path.of(arguments[2])),
                Digits.hadoop(Path.of(arguments[3])),
                false,
                ScoreProgress.SILENT);
        System.out.println("MB up: " + (report.bytesUp() >> 20));
      }
    } finally {
      spark.stop();
    }
  }
}
