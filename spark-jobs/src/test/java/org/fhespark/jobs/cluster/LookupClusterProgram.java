package org.fhespark.jobs.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.nativelib.ClientKey;

/**
 * A driver whose model looks values up, on a cluster of two executor JVMs of which one is killed
 * once it has evaluated a block; says on standard output how it went. Arguments: the compiled
 * model, the folder of keys, the input, the output, the largest evaluation key that is broadcast.
 */
final class LookupClusterProgram {
  private LookupClusterProgram() {}

  public static void main(String[] arguments) throws Exception {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local-cluster[2,1,1024]")
            .setAppName("local cluster with look-ups")
            .set("spark.ui.enabled", "false")
            .set("spark.fhe.evaluationKey.broadcastLimit", arguments[4])
            .set("spark.executor.extraClassPath", System.getProperty("java.class.path"));
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    try {
      LocalClusterProgram.awaitExecutors(spark);
      KillAfterFirstBlock killer = new KillAfterFirstBlock();
      spark.sparkContext().addSparkListener(killer);
      HybridModel model = Digits.load(Path.of(arguments[0]));
      Path keys = Path.of(arguments[1]);
      try (ClientKey key = ClientKey.load(keys.resolve("client.key"));
          HybridSession session = model.session(spark, Mode.EXECUTE, key, keys)) {
        session.score(
            Digits.hadoop(Path.of(arguments[2])),
            Digits.hadoop(Path.of(arguments[3])),
            false,
            ScoreProgress.SILENT);
      }
      spark.sparkContext().listenerBus().waitUntilEmpty();
      System.out.println("executors lost: " + killer.lost);
      System.out.println("files added: " + spark.sparkContext().listFiles().size());
    } finally {
      spark.stop();
    }
  }

  /** Ends the process of an executor, which is a child of this one, while others wait for tasks. */
  private static final class KillAfterFirstBlock extends SparkListener {
    private boolean hasKilled;
    private volatile int lost;

    @Override
    public void onTaskEnd(SparkListenerTaskEnd end) {
      if (!hasKilled && end.taskInfo().successful()) {
        hasKilled = true;
        Optional<ProcessHandle> executor =
            ProcessHandle.current()
                .descendants()
                .filter(process -> isExecutor(process, end.taskInfo().executorId()))
                .findFirst();
        executor.orElseThrow().destroyForcibly();
      }
    }

    /** The command line is too long for {@link ProcessHandle.Info} to tell it. */
    private static boolean isExecutor(ProcessHandle process, String id) {
      try {
        String line = Files.readString(Path.of("/proc", Long.toString(process.pid()), "cmdline"));
        return line.contains("--executor-id\0" + id + "\0");
      } catch (IOException gone) {
        return false;
      }
    }

    @Override
    public void onExecutorRemoved(SparkListenerExecutorRemoved removed) {
      lost++;
    }
  }
}
