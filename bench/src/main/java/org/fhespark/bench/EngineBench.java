package org.fhespark.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.Engine;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.jobs.client.CalibrationTable;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.jobs.tables.TableWriter;
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
  private final java.nio.file.Path data;
  private final java.nio.file.Path work;
  private final List<Row> images;
  private boolean isMet = true;

  private EngineBench(SparkSession spark, java.nio.file.Path data, java.nio.file.Path work) {
    this.spark = spark;
    this.data = data;
    this.work = work;
    this.images = read(new Path(data.resolve("digits.parquet").toString()));
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
    HybridModel model = compile("mlp.onnx", Engine.PBS);
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
    HybridModel model = compile(listed.file, Engine.SIMD);
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
      Path all = table(IMAGES);
      clear.score(all, torch, true, ScoreProgress.SILENT);
      ScoreReport whole =
          session.score(all, new Path(output.toString()), true, ScoreProgress.SILENT);
      row(whole);
      List<Row> expected = read(torch);
      List<Row> found = read(new Path(output.toString()));
      int same = 0;
      double squares = 0;
      for (int i = 0; i < IMAGES; i++) {
        List<Float> left = logits(expected.get(i));
        List<Float> right = logits(found.get(i));
        same += top(left) == top(right) ? 1 : 0;
        for (int j = 0; j < left.size(); j++) {
          squares += Math.pow(left.get(j) - right.get(j), 2);
        }
      }
      double agreement = (double) same / IMAGES;
      check("same class as float, all images", agreement, listed.leastAgreement);
      System.out.printf(
          "  RMS error of logits %.4f%n",
          Math.sqrt(squares / IMAGES / logits(found.get(0)).size()));
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
    return session.score(table(records), output, true, ScoreProgress.SILENT);
  }

  private HybridModel compile(String file, Engine engine) throws IOException {
    Path onnx = new Path(data.resolve(file).toString());
    Path out = new Path(work.resolve("model-" + engine.label() + "-" + file).toString());
    Configuration configuration = new Configuration();
    try (CalibrationTable records =
        CalibrationTable.open(
            spark, onnx, new Path(data.resolve("calibration.parquet").toString()))) {
      CompileOptions options = CompileOptions.remote(List.of(".")).engine(engine).build();
      new ModelCompiler(configuration).compile(onnx, records.batches(), options, out);
    }
    return HybridModel.load(new Path(out, "client"), new Path(out, "server"), configuration);
  }

  /** So many images, from the first again after the last. */
  private Path table(int count) {
    StructType schema = images.get(0).schema();
    Path table = new Path(work.resolve("images-" + count).toString());
    try (TableWriter writer = TableWriter.create(spark, table, schema, TableFormat.PARQUET, true)) {
      for (int i = 0; i < count; i++) {
        writer.write(images.get(i % images.size()));
      }
      writer.commit();
    }
    return table;
  }

  private List<Row> read(Path table) {
    List<Row> rows = new ArrayList<>();
    try (TableReader reader = TableReader.open(spark, table)) {
      reader.rows().forEachRemaining(rows::add);
    }
    return rows;
  }

  private static List<Float> logits(Row row) {
    return row.getList(row.fieldIndex("logits"));
  }

  private static int top(List<Float> logits) {
    int best = 0;
    for (int i = 1; i < logits.size(); i++) {
      best = logits.get(i) > logits.get(best) ? i : best;
    }
    return best;
  }
}
