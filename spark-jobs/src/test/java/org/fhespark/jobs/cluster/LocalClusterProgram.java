package org.fhespark.jobs.cluster;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.Preparation;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.metrics.FheSparkPlugin;
import org.fhespark.nativelib.ClientKey;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What a driver does on a cluster of two executor JVMs; says on standard output how it went.
 * Arguments: the compiled model, the key file, the input, the output.
 */
final class LocalClusterProgram {
  private static final int EXECUTORS = 2;
  private static final int MOST_RUNS = 10;

  private LocalClusterProgram() {}

  public static void main(String[] arguments) throws Exception {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local-cluster[" + EXECUTORS + ",1,1024]")
            .setAppName("local cluster")
            .set("spark.ui.enabled", "false")
            .set("spark.executor.extraClassPath", System.getProperty("java.class.path"));
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    try {
      awaitExecutors(spark);
      HybridModel model = Digits.load(Path.of(arguments[0]));
      try (ClientKey key = ClientKey.load(Path.of(arguments[1]));
          HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
        score(spark, session, Path.of(arguments[2]), Path.of(arguments[3]));
        forward(spark, session, Path.of(arguments[2]));
        prepare(spark, session, Path.of(arguments[2]));
        metrics(spark);
        captureKey(spark, key);
      }
    } finally {
      spark.stop();
    }
  }

  static void awaitExecutors(SparkSession spark) throws InterruptedException {
    long deadline = System.nanoTime() + 60_000_000_000L;
    // The driver is one of them.
    while (spark.sparkContext().statusTracker().getExecutorInfos().length < EXECUTORS + 1) {
      if (System.nanoTime() > deadline) {
        throw new IllegalStateException("the executors did not come up");
      }
      Thread.sleep(100);
    }
  }

  private static void score(SparkSession spark, HybridSession session, Path input, Path output)
      throws Exception {
    Set<String> executors = new TreeSet<>();
    SparkListener listener =
        new SparkListener() {
          @Override
          public synchronized void onTaskEnd(SparkListenerTaskEnd end) {
            if (end.taskInfo().successful()) {
              executors.add(end.taskInfo().executorId());
            }
          }
        };
    spark.sparkContext().addSparkListener(listener);
    // Few blocks: a run may happen to use one executor alone.
    for (int run = 0; run < MOST_RUNS; run++) {
      session.score(Digits.hadoop(input), Digits.hadoop(output), run > 0, ScoreProgress.SILENT);
      spark.sparkContext().listenerBus().waitUntilEmpty();
      synchronized (listener) {
        if (executors.size() == EXECUTORS) {
          break;
        }
      }
    }
    synchronized (listener) {
      System.out.println("executors with tasks: " + executors);
    }
    spark.sparkContext().removeSparkListener(listener);
  }

  private static void forward(SparkSession spark, HybridSession session, Path input) {
    List<Row> images = Digits.read(spark, input).subList(0, 5);
    Dataset<Row> onDriver = spark.createDataFrame(images, Digits.schema());
    System.out.println("local relation: " + session.forward(onDriver).collectAsList().size());
    System.out.println(
        "projected local relation: "
            + session.forward(onDriver.select("pixels")).collectAsList().size());
    System.out.println(
        "computed local relation: "
            + session.forward(onDriver.filter("id >= 0").limit(2)).collectAsList().size());
    Dataset<Row> read = spark.read().schema(Digits.schema()).parquet(input.toString());
    refuse("table", session, read);
    refuse("sorted", session, onDriver.union(read).orderBy("id"));
    refuse("repartitioned", session, onDriver.repartition(2));
    // Cached before it is planned: its rows live at the executors.
    Dataset<Row> cached = spark.createDataFrame(images, Digits.schema());
    refuse("cached", session, cached.persist(StorageLevel.MEMORY_ONLY()));
  }

  /** Small batches under masks that the executors have multiplied before. */
  private static void prepare(SparkSession spark, HybridSession session, Path input) {
    List<Row> images = Digits.read(spark, input).subList(0, 40);
    Dataset<Row> onDriver = spark.createDataFrame(images, Digits.schema());
    List<Row> ordinary = session.forward(onDriver).collectAsList();
    Preparation masks = session.prepare(40);
    List<Row> prepared = session.forward(onDriver).collectAsList();
    System.out.println(
        "prepared: " + masks.slots() + " slots, same values " + ordinary.equals(prepared));
    // All slots are used: there is nothing left to count as ready.
    System.out.println("prepared again: " + session.prepare(40).slots() + " slots");
  }

  /** What the metrics systems of the executors' JVMs have from the plugin. */
  private static void metrics(SparkSession spark) {
    List<Long> blocks =
        JavaSparkContext.fromSparkContext(spark.sparkContext())
            .parallelize(List.of(1, 2, 3, 4), 4)
            .map(
                unused ->
                    CollectionConverters.asJava(
                            SparkEnv.get()
                                .metricsSystem()
                                .getSourcesByName("plugin." + FheSparkPlugin.class.getName()))
                        .stream()
                        .mapToLong(
                            source ->
                                source.metricRegistry().getCounters().get("blocks").getCount())
                        .sum())
            .collect();
    System.out.println("executors' metrics have blocks: " + blocks.stream().allMatch(n -> n > 0));
  }

  private static void refuse(String what, HybridSession session, Dataset<Row> records) {
    try {
      session.forward(records);
      System.out.println(what + ": accepted");
    } catch (InvalidInputException error) {
      System.out.println(what + ": refused, " + error.getMessage());
    }
  }

  private static void captureKey(SparkSession spark, ClientKey key) {
    try {
      JavaSparkContext.fromSparkContext(spark.sparkContext())
          .parallelize(List.of(1, 2), 2)
          .map(one -> key.id())
          .collect();
      System.out.println("key: accepted");
    } catch (Exception error) {
      System.out.println("key: refused, " + error.getMessage());
    }
  }
}
