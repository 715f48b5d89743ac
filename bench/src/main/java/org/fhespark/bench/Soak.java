package org.fhespark.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.KeyFolder;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.nativelib.ClientKey;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Scores again and again in one JVM, in mode execute, with a session of its own for every run; some
 * runs fail or are cancelled. Nothing that the process holds may grow over the second half.
 */
@Command(
    name = "bench/soak",
    description = "Scores again and again: whether heap, native memory, threads or files grow.",
    mixinStandardHelpOptions = true)
public final class Soak implements Callable<Integer> {
  /** Samples of a whole soak; each takes two collections. */
  private static final int SAMPLES = 120;

  private static final double LEAST_SECONDS_BETWEEN = 2;

  /** In so many rounds there is one of each kind that is not an ordinary run. */
  private static final int CYCLE = 10;

  private static final int PREPARED_ROWS = 16;
  private static final int PIXELS = 64;
  private static final StructType SCHEMA = StructType.fromDDL("id BIGINT, pixels ARRAY<FLOAT>");

  @Option(names = "--linear", required = true, description = "The digits, linear layers remote.")
  private Path linear;

  @Option(names = "--lookups", required = true, description = "The digits as one circuit.")
  private Path lookups;

  @Option(names = "--lookup-keys", required = true, description = "Keys of that.")
  private Path lookupKeys;

  @Option(names = "--input", required = true, description = "The images.")
  private Path input;

  @Option(names = "--minutes", required = true)
  private double minutes;

  @Option(names = "--work", required = true, description = "A folder for results and the plot.")
  private Path work;

  private SparkSession spark;
  private long scored;
  private long refused;
  private long cancelled;

  public static void main(String[] arguments) {
    Locale.setDefault(Locale.ROOT);
    System.exit(new CommandLine(new Soak()).execute(arguments));
  }

  @Override
  public Integer call() throws Exception {
    Files.createDirectories(work);
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local[2]")
            .setAppName("bench/soak")
            .set("spark.ui.enabled", "false")
            // What Spark remembers of jobs for its pages, a thousand by default, is full at once.
            .set("spark.ui.retainedJobs", "20")
            .set("spark.ui.retainedStages", "20")
            .set("spark.ui.retainedTasks", "100")
            .set("spark.sql.ui.retainedExecutions", "10");
    spark = SparkSession.builder().config(conf).getOrCreate();
    List<SoakSample> samples;
    try {
      samples = soak();
    } finally {
      spark.stop();
    }
    List<SoakTrend> trends =
        SoakSample.FIGURES.stream().map(figure -> SoakTrend.of(figure, samples)).toList();
    print(trends, samples);
    Path plot = work.resolve("soak.png");
    SoakPlot.write(trends, samples, plot);
    System.out.println("\nplot: " + plot);
    return trends.stream().anyMatch(SoakTrend::isGrowing) ? 1 : 0;
  }

  private List<SoakSample> soak() throws IOException {
    HybridModel ofLayers = load(linear);
    HybridModel whole = load(lookups);
    Path temporary = Path.of(System.getProperty("java.io.tmpdir"));
    double between = Math.max(LEAST_SECONDS_BETWEEN, 60 * minutes / SAMPLES);
    List<SoakSample> samples = new ArrayList<>();
    long start = System.nanoTime();
    for (long round = 0; ; round++) {
      round(round, ofLayers, whole);
      double seconds = (System.nanoTime() - start) / 1e9;
      // The end of a cycle: every sample has the same kinds of rounds behind it.
      if (round % CYCLE == CYCLE - 1 && seconds >= between * (samples.size() + 1)) {
        samples.add(SoakSample.take(seconds, round + 1, temporary));
        System.err.printf("soak: %.0f s, %,d rounds%n", seconds, round + 1);
      }
      if (seconds >= 60 * minutes && round % CYCLE == CYCLE - 1) {
        return samples;
      }
    }
  }

  private static HybridModel load(Path model) {
    return HybridModel.load(
        hadoop(model.resolve("client")), hadoop(model.resolve("server")), new Configuration());
  }

  private static org.apache.hadoop.fs.Path hadoop(Path path) {
    return new org.apache.hadoop.fs.Path(path.toAbsolutePath().toString());
  }

  private void round(long round, HybridModel ofLayers, HybridModel whole) throws IOException {
    switch ((int) (round % CYCLE)) {
      case 3 -> lookUp(whole);
      case 5 -> wrongKey(ofLayers, whole);
      case 6 -> badRecord(ofLayers);
      case 8 -> cancel(ofLayers);
      case 9 -> masksAhead(ofLayers);
      default -> score(ofLayers, ScoreProgress.SILENT);
    }
  }

  private void score(HybridModel model, ScoreProgress progress) {
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.score(hadoop(input), hadoop(work.resolve("scored")), true, progress);
      scored++;
    }
  }

  private Dataset<Row> image(float pixel) {
    Float[] pixels = new Float[PIXELS];
    for (int i = 0; i < PIXELS; i++) {
      pixels[i] = i % 3 == 0 ? pixel : 1f;
    }
    return spark.createDataFrame(List.of(RowFactory.create(1L, (Object) pixels)), SCHEMA);
  }

  private void lookUp(HybridModel whole) {
    try (KeyFolder keys = KeyFolder.open(lookupKeys);
        HybridSession session = whole.session(spark, Mode.EXECUTE, keys.current(), lookupKeys)) {
      session.forward(image(3)).collectAsList();
      scored++;
    }
  }

  private void wrongKey(HybridModel ofLayers, HybridModel whole) {
    try (ClientKey foreign = whole.newKey();
        HybridSession session = ofLayers.session(spark, Mode.EXECUTE, foreign)) {
      throw new IllegalStateException(session + " was opened with a key of another model");
    } catch (InvalidInputException expected) {
      refused++;
    }
  }

  private void badRecord(HybridModel model) {
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.forward(image(3)).collectAsList();
      session.forward(image(Float.NaN)).collectAsList();
      throw new IllegalStateException("a NaN was scored");
    } catch (InvalidInputException expected) {
      refused++;
    }
  }

  /** Interrupted as soon as blocks are on their way. */
  private void cancel(HybridModel model) {
    Thread caller = Thread.currentThread();
    try {
      score(
          model,
          new ScoreProgress() {
            @Override
            public void blocksSent(String modules, int blocks) {
              caller.interrupt();
            }
          });
      throw new IllegalStateException("the run was not interrupted");
    } catch (CancellationException expected) {
      cancelled++;
    } finally {
      Thread.interrupted();
    }
  }

  private void masksAhead(HybridModel model) {
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      session.prepare(PREPARED_ROWS);
      session.forward(image(3)).collectAsList();
      scored++;
    }
  }

  private void print(List<SoakTrend> trends, List<SoakSample> samples) {
    SoakSample last = samples.get(samples.size() - 1);
    System.out.printf(
        "%,d rounds in %.1f minutes: %,d runs scored, %,d refused, %,d cancelled; %d samples%n%n",
        last.rounds(), last.seconds() / 60, scored, refused, cancelled, samples.size());
    System.out.println(
        "| of the process | first sample | at half time | last sample | growth over the second half |"
            + " allowed | |\n|---|---:|---:|---:|---:|---:|---|");
    for (SoakTrend trend : trends) {
      SoakSample.Figure figure = trend.figure();
      double unit = figure.unit();
      System.out.printf(
          "| %s | %.1f | %.1f | %.1f | %.2f ± %.2f | %.2f | %s |%n",
          figure.shownIn().isEmpty() ? figure.name() : figure.name() + ", " + figure.shownIn(),
          figure.of().applyAsDouble(samples.get(0)) / unit,
          trend.half() / unit,
          figure.of().applyAsDouble(last) / unit,
          trend.growth() / unit,
          trend.error() / unit,
          figure.noise() / unit,
          trend.isGrowing() ? "GROWS" : "ok");
    }
  }
}
