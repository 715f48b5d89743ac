package org.fhespark.bench;

import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.KeyFolder;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.SparkSettings;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** One process of {@link ScaleBench}: scores a table, after a start-up on another. */
@Command(name = "ScaleRun", mixinStandardHelpOptions = true)
public final class ScaleRun implements Callable<Integer> {
  /** What a line of standard output that holds a {@link Result} begins with. */
  static final String MARK = "scale-run: ";

  @Option(names = "--model", required = true)
  private Path model;

  @Option(names = "--keys", required = true)
  private Path keys;

  @Option(names = "--start-up", required = true)
  private Path startUp;

  @Option(names = "--smallest", required = true)
  private Path smallest;

  @Option(names = "--input", required = true)
  private Path input;

  @Option(names = "--output", required = true)
  private Path output;

  @Option(names = "--runs", defaultValue = "1")
  private int runs;

  private static final int START_UP_RUNS = 9;

  /**
   * What one process saw.
   *
   * @param records of a run
   * @param startUpSeconds of the median run of the smallest table: what a run takes beside its
   *     records
   * @param seconds of each run, from the first record read to the table committed
   * @param peakResidentBytes of the driver's process, from the end of the start-up on
   * @param peakHeapBytes of the driver, likewise, garbage included
   * @param stepSeconds by step, of the last run
   */
  public record Result(
      long records,
      double startUpSeconds,
      List<Double> seconds,
      long peakResidentBytes,
      long peakHeapBytes,
      Map<String, Double> stepSeconds) {}

  public static void main(String[] arguments) {
    System.exit(new CommandLine(new ScaleRun()).execute(arguments));
  }

  @Override
  public Integer call() throws IOException {
    SparkConf conf = SparkSettings.addTo(new SparkConf());
    conf.setIfMissing("spark.master", "local[*]");
    conf.setIfMissing("spark.app.name", "bench/scale");
    conf.set("spark.ui.enabled", "false");
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    try (KeyFolder folder = KeyFolder.open(keys)) {
      HybridModel loaded =
          HybridModel.load(
              hadoop(model.resolve("client")),
              hadoop(model.resolve("server")),
              new Configuration());
      try (HybridSession session = loaded.session(spark, Mode.EXECUTE, folder.current())) {
        score(session, startUp);
        double[] ofSmallest = new double[START_UP_RUNS];
        for (int run = 0; run < START_UP_RUNS; run++) {
          ofSmallest[run] = score(session, smallest).seconds();
        }
        Arrays.sort(ofSmallest);
        System.gc();
        resetPeaks();
        double[] seconds = new double[runs];
        ScoreReport report = null;
        for (int run = 0; run < runs; run++) {
          report = score(session, input);
          seconds[run] = report.seconds();
        }
        print(report, ofSmallest[START_UP_RUNS / 2], seconds);
      }
    } finally {
      spark.stop();
    }
    return 0;
  }

  private ScoreReport score(HybridSession session, Path table) {
    return session.score(hadoop(table), hadoop(output), true, ScoreProgress.SILENT);
  }

  private static org.apache.hadoop.fs.Path hadoop(Path path) {
    return new org.apache.hadoop.fs.Path(path.toAbsolutePath().toString());
  }

  private static void print(ScoreReport report, double startUp, double[] seconds)
      throws IOException {
    Map<String, Double> steps = new TreeMap<>();
    report.stepSeconds().forEach((step, time) -> steps.put(step.name(), time));
    Result result =
        new Result(
            report.records(),
            startUp,
            Arrays.stream(seconds).boxed().toList(),
            peakResidentBytes(),
            peakHeapBytes(),
            steps);
    System.out.println(MARK + JsonMapper.builder().build().writeValueAsString(result));
  }

  private static void resetPeaks() throws IOException {
    // Linux: the peak of the resident memory begins anew.
    Files.writeString(Path.of("/proc/self/clear_refs"), "5");
    ManagementFactory.getMemoryPoolMXBeans().forEach(MemoryPoolMXBean::resetPeakUsage);
  }

  private static long peakResidentBytes() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmHWM:")) {
        return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    throw new IOException("/proc/self/status has no VmHWM");
  }

  private static long peakHeapBytes() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(pool -> pool.getType() == MemoryType.HEAP)
        .mapToLong(pool -> pool.getPeakUsage().getUsed())
        .sum();
  }
}
