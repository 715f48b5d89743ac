package org.fhespark.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.Engine;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.nativelib.ClientKey;

/**
 * The engines of modules with non-linearities side by side: the MLP 64-32-10 of examples/digits
 * with ReLU, GELU and SiLU, all of it encrypted, through Spark on two cores.
 */
public final class EngineBench {
  private static final int CORES = 2;
  private static final List<Integer> BATCHES = List.of(1, 64, 1024, 8192);

  /** Look-ups take a record after another: what 64 cost, 8,192 cost too, and that takes hours. */
  private static final int MOST_LOOKED_UP = 64;

  private static final int IMAGES = 1797;
  private static final double LEAST_RATIO = 500;

  /** A model and what share of images must get the float model's class. */
  private record Model(String file, double leastAgreement) {}

  private static final List<Model> MODELS =
      List.of(
          new Model("mlp.onnx", 0.99),
          new Model("mlp_gelu.onnx", 0.995),
          new Model("mlp_silu.onnx", 0.995));

  private final SparkSession spark;
  private final java.nio.file.Path work;
  private final DigitImages images;
  private boolean isMet = true;

  private EngineBench(SparkSession spark, java.nio.file.Path data, java.nio.file.Path work) {
    this.spark = spark;
    this.work = work;
    this.images = new DigitImages(spark, data, work);
  }

  /** Arguments: examples/digits and a folder to work in. */
  public static void main(String[] arguments) throws IOException {
    Locale.setDefault(Locale.ROOT);
    SparkConf conf =
        SparkSettings.addTo(
            new SparkConf()
                .setMaster("local[" + CORES + "]")
                .setAppName("engines")
                .set("spark.ui.enabled", "false"));
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    boolean isMet;
    try {
      isMet =
          new EngineBench(
                  spark,
                  java.nio.file.Path.of(arguments[0]).toAbsolutePath(),
                  java.nio.file.Path.of(arguments[1]).toAbsolutePath())
              .run();
    } finally {
      spark.stop();
    }
    System.exit(isMet ? 0 : 1);
  }

  private boolean run() throws IOException {
    double pbs = lookUps();
    for (Model model : MODELS) {
      leveled(model, pbs);
    }
    return isMet;
  }

  /** Seconds a record of the MLP with ReLU by look-ups. */
  private double lookUps() throws IOException {
    HybridModel model = images.compile("mlp.onnx", Engine.PBS);
    double seconds = 0;
    try (Keys keys = Keys.of(model, work.resolve("keys-pbs"));
        HybridSession session = model.session(spark, Mode.EXECUTE, keys.client, keys.folder)) {
      head("mlp.onnx, engine pbs", keys);
      score(session, 4);
      for (int records : BATCHES) {
        if (records <= MOST_LOOKED_UP) {
          ScoreReport report = score(session, records);
          seconds = report.seconds() / records;
          row(report);
        }
      }
    }
    System.out.printf(
        "  look-ups take one record after another: larger batches cost as much a record%n");
    return seconds;
  }

  private void leveled(Model listed, double pbs) throws IOException {
    HybridModel model = images.compile(listed.file, Engine.SIMD);
    java.nio.file.Path output = work.resolve("execute");
    try (Keys keys = Keys.of(model, work.resolve("keys-" + listed.file));
        HybridSession session = model.session(spark, Mode.EXECUTE, keys.client, keys.folder);
        HybridSession clear = model.session(spark, Mode.TORCH)) {
      head(listed.file + ", engine simd", keys);
      score(session, 1);
      ScoreReport full = null;
      for (int records : BATCHES) {
        full = score(session, records);
        row(full);
      }
      Path torch = new Path(work.resolve("torch").toString());
      Path all = images.table(IMAGES);
      clear.score(all, torch, true, ScoreProgress.SILENT);
      ScoreReport whole =
          session.score(all, new Path(output.toString()), true, ScoreProgress.SILENT);
      row(whole);
      List<Row> expected = images.read(torch);
      List<Row> found = images.read(new Path(output.toString()));
      int same = 0;
      double squares = 0;
      for (int i = 0; i < IMAGES; i++) {
        Row left = expected.get(i);
        Row right = found.get(i);
        same += DigitImages.topClass(left) == DigitImages.topClass(right) ? 1 : 0;
        List<Float> wanted = DigitImages.logits(left);
        List<Float> given = DigitImages.logits(right);
        for (int j = 0; j < wanted.size(); j++) {
          squares += Math.pow(wanted.get(j) - given.get(j), 2);
        }
      }
      double agreement = (double) same / IMAGES;
      check("same class as float, all images", agreement, listed.leastAgreement);
      System.out.printf(
          "  RMS error of logits %.4f%n",
          Math.sqrt(squares / IMAGES / DigitImages.logits(found.get(0)).size()));
      check("x look-ups, all images", pbs / (whole.seconds() / IMAGES), LEAST_RATIO);
      check("x look-ups, full block", pbs / (full.seconds() / full.records()), LEAST_RATIO);
    }
  }

  private void check(String what, double value, double least) {
    boolean isReached = value >= least;
    isMet &= isReached;
    System.out.printf(
        "  %-34s %10.4g  %s (at least %.4g)%n", what, value, isReached ? "met" : "MISSED", least);
  }

  private static void head(String what, Keys keys) {
    System.out.printf(
        "%n%s: keys %.1f MB in %.1f s, local[%d]%n  %8s %14s %12s %12s %12s%n",
        what,
        keys.bytes / 1e6,
        keys.seconds,
        CORES,
        "records",
        "ms a record",
        "bytes up",
        "bytes down",
        "(a record)");
  }

  private static void row(ScoreReport report) {
    double records = report.records();
    System.out.printf(
        "  %8d %14.4f %12.0f %12.0f%n",
        report.records(),
        1e3 * report.seconds() / records,
        report.bytesUp() / records,
        report.bytesDown() / records);
  }

  /** Keys of a model, in a folder. */
  private record Keys(ClientKey client, java.nio.file.Path folder, long bytes, double seconds)
      implements AutoCloseable {
    static Keys of(HybridModel model, java.nio.file.Path folder) throws IOException {
      ClientKey client = model.newKey();
      long start = System.nanoTime();
      model.evaluationKeys(client, folder, share -> {});
      double seconds = (System.nanoTime() - start) / 1e9;
      long bytes = 0;
      try (Stream<java.nio.file.Path> files = Files.list(folder)) {
        for (java.nio.file.Path file : files.toList()) {
          bytes += Files.size(file);
        }
      }
      return new Keys(client, folder, bytes, seconds);
    }

    @Override
    public void close() {
      client.close();
    }
  }

  private ScoreReport score(HybridSession session, int records) {
    Path output = new Path(work.resolve("scored").toString());
    return session.score(images.table(records), output, true, ScoreProgress.SILENT);
  }
}
