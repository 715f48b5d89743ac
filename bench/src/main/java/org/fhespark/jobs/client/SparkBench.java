package org.fhespark.jobs.client;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.LongStream;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.fhespark.bench.EncryptedLayer;
import org.fhespark.bench.LayerShape;
import org.fhespark.bench.RandomRecords;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.udf.Circuit;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * One encrypted layer through Spark, floats on the driver to floats on the driver: where the cores'
 * time goes, and how much faster it is than on one core.
 */
@Command(
    name = "bench/spark",
    description = "One encrypted layer through Spark: where the cores' time goes.",
    mixinStandardHelpOptions = true)
public final class SparkBench implements Callable<Integer> {
  private static final LayerShape SHAPE = new LayerShape(768, 768);
  private static final int WEIGHT_BITS = 8;
  private static final int BLOCK_RECORDS = 4096;
  private static final int RECORDS = 100_000;
  private static final int RUNS = 5;

  /** Runs before those that count: the JVM compiles and commits its heap. */
  private static final int WARM_UPS = 3;

  /** How much faster two cores are than one, at least. */
  private static final double SPEED_UP = 1.8;

  @Option(names = "--cores", defaultValue = "2", description = "Cores of Spark and of the client.")
  private int cores;

  @Option(
      names = "--wall-file",
      paramLabel = "FILE",
      description = "Where to write the seconds of the median run.")
  private Path wallFile;

  @Option(
      names = "--one-core",
      paramLabel = "FILE",
      description = "What a run on one core wrote there: to be compared with.")
  private Path oneCore;

  /** What tasks say of themselves. */
  private static final class TaskTimes extends SparkListener {
    private final LongAdder evaluationNanos = new LongAdder();

    @Override
    public void onTaskEnd(SparkListenerTaskEnd end) {
      evaluationNanos.add(end.taskMetrics().executorCpuTime());
    }
  }

  /** Seconds of one run; all but the first are core seconds. */
  private record Run(
      double wall,
      double cores,
      double kernel,
      double client,
      double tasks,
      double scheduling,
      double jvm) {

    double arithmetic() {
      return kernel + client;
    }

    double idle() {
      return cores - arithmetic() - tasks - scheduling - jvm;
    }
  }

  public static void main(String[] arguments) {
    Locale.setDefault(Locale.ROOT);
    System.exit(new CommandLine(new SparkBench()).execute(arguments));
  }

  @Override
  public Integer call() throws Exception {
    SparkConf conf =
        SparkSettings.addTo(
            new SparkConf()
                .setMaster("local[" + cores + "]")
                .setAppName("bench")
                .set("spark.ui.enabled", "false"));
    ByteBuffer records = RandomRecords.of(BLOCK_RECORDS, SHAPE.inputs());
    try (JavaSparkContext spark = new JavaSparkContext(conf);
        ClientThreads threads = new ClientThreads(cores);
        EncryptedLayer encrypted =
            new EncryptedLayer(records, BLOCK_RECORDS, SHAPE, WEIGHT_BITS, null)) {
      TaskTimes tasks = new TaskTimes();
      spark.sc().addSparkListener(tasks);
      List<Run> runs = new ArrayList<>();
      for (int run = 0; run < WARM_UPS + RUNS; run++) {
        Run times = run(spark, threads, encrypted, records, tasks);
        System.err.printf(
            "%srun of %.2f s, arithmetic %.0f %%%n",
            run < WARM_UPS ? "warm-up " : "", times.wall, 100 * times.arithmetic() / times.cores);
        if (run >= WARM_UPS) {
          runs.add(times);
        }
      }
      runs.sort(Comparator.comparingDouble(Run::wall));
      report(runs.get(runs.size() / 2));
    }
    return 0;
  }

  private Run run(
      JavaSparkContext spark,
      ClientThreads threads,
      EncryptedLayer encrypted,
      ByteBuffer records,
      TaskTimes tasks)
      throws Exception {
    Measurements measurements = new Measurements();
    RemoteLayer layer = layer(encrypted.client());
    spark.sc().listenerBus().waitUntilEmpty();
    double evaluationBefore = tasks.evaluationNanos.sum() / 1e9;
    CpuTimes before = CpuTimes.now();
    long start = System.nanoTime();
    EncryptedEvaluator evaluator =
        EncryptedEvaluator.onExecutors(
            spark,
            List.of(new Circuit(encrypted.circuitFile())),
            Map.of(),
            Map.of(),
            threads,
            measurements,
            ScoreProgress.SILENT);
    WavePipeline.through(
            new Schedule(Map.of(), List.of(layer), List.of("y"), evaluator, threads, measurements))
        .run(waves(records).iterator(), wave -> {});
    double wall = (System.nanoTime() - start) / 1e9;
    CpuTimes after = CpuTimes.now();
    spark.sc().listenerBus().waitUntilEmpty();
    double kernel = tasks.evaluationNanos.sum() / 1e9 - evaluationBefore;
    double client = after.since(before, "fhe-spark-client");
    double workers = after.since(before, "Executor task launch worker");
    double java = after.since(before, "");
    evaluator.close();
    return new Run(
        wall,
        cores * wall,
        kernel,
        client,
        workers - kernel,
        java - workers - client,
        after.process() - before.process() - java);
  }

  private static RemoteLayer layer(ModuleClient client) {
    ModuleSpec spec = client.spec();
    RemoteCallSpec call =
        new RemoteCallSpec(
            "bench",
            0,
            "x",
            null,
            List.of(new CallOutput("bench", "y", spec.outputs())),
            false,
            spec.inputs(),
            spec.outputs(),
            spec.circuit().hex(),
            spec.parameters(),
            spec.norms(),
            spec.quantization(),
            spec.weightScales(),
            null,
            WEIGHT_BITS,
            Double.NaN,
            Double.NaN,
            null,
            null);
    return new RemoteLayer(call, Optional.empty(), new PackedCipher(call, client));
  }

  /**
   * As many batches as a wave has in this session, each of a block's records, until all are there.
   */
  private List<List<Batch>> waves(ByteBuffer records) {
    List<List<Batch>> waves = new ArrayList<>();
    List<Batch> wave = new ArrayList<>();
    for (int first = 0; first < RECORDS; first += BLOCK_RECORDS) {
      int count = Math.min(BLOCK_RECORDS, RECORDS - first);
      ByteBuffer part =
          records.slice(0, count * SHAPE.inputs() * Float.BYTES).order(ByteOrder.nativeOrder());
      Tensor input = Tensor.of(ElementType.FLOAT, part, count, SHAPE.inputs());
      wave.add(
          new Batch(
              LongStream.range(first, first + count).toArray(), List.of(), Map.of("x", input)));
      if (wave.size() == cores) {
        waves.add(wave);
        wave = new ArrayList<>();
      }
    }
    if (!wave.isEmpty()) {
      waves.add(wave);
    }
    return waves;
  }

  private void report(Run run) throws IOException {
    print(run);
    if (oneCore != null) {
      double ratio = Double.parseDouble(Files.readString(oneCore)) / run.wall;
      System.out.printf(
          "%n- %s: on %d cores %.2f x as fast as on one, target at least %.1f%n",
          ratio >= SPEED_UP ? "met" : "MISSED", cores, ratio, SPEED_UP);
    }
    if (wallFile != null) {
      Files.writeString(wallFile, Double.toString(run.wall));
    }
  }

  private void print(Run run) {
    System.out.printf(
        "%n%,d records through %s at 8 bits on Spark local[%d], floats to floats: %.2f s,"
            + " %,.0f records/s; shares of the time of %d cores.%n%n",
        RECORDS, SHAPE, cores, run.wall, RECORDS / run.wall, cores);
    System.out.println("| where | share |\n|---|---:|");
    row(run, "kernel: evaluation in tasks, with JNI and Arrow", run.kernel);
    row(run, "client: quantise, encrypt, decrypt, dequantise, with JNI", run.client);
    row(run, "**arithmetic of both**", run.arithmetic());
    row(run, "tasks besides: launch, (de)serialisation, metrics", run.tasks);
    row(run, "driver: scheduling, results, listeners", run.scheduling);
    row(run, "JVM: garbage collection, compilation", run.jvm);
    row(run, "idle", run.idle());
  }

  private static void row(Run run, String where, double seconds) {
    System.out.printf("| %s | %.1f %% |%n", where, 100 * seconds / run.cores);
  }
}
