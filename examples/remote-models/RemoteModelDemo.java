import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
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
import org.fhespark.jobs.client.TerminalProgress;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.jobs.tables.TableWriter;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.NativeLibrary;

/**
 * A whole model remote, its activations and pooling too: scikit-learn's handwritten digits through
 * a small classifier, no part of which is left in clear. Images of the test split in every mode, on
 * embedded Spark; several times in mode SIMULATE, whose mean is what encryption has to reach.
 */
public final class RemoteModelDemo {
  private static final int SIMULATIONS = 5;
  private static final List<Mode> MODES =
      List.of(Mode.TORCH, Mode.DISABLE, Mode.SIMULATE, Mode.EXECUTE);

  private final SparkSession spark;
  private final Path data;
  private final Path onnx;
  private final Path work;
  private final Engine engine;

  private RemoteModelDemo(SparkSession spark, Path data, Path onnx, Path work, Engine engine) {
    this.engine = engine;
    this.spark = spark;
    this.data = data;
    this.onnx = onnx;
    this.work = work;
  }

  public static void main(String[] arguments) throws IOException {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local[2]")
            .setAppName("remote-models")
            .set("spark.ui.enabled", "false");
    Path data = new Path(new File(arguments[0]).getAbsolutePath());
    Path onnx = new Path(data, arguments[1]);
    Path work = new Path(new File(arguments[2]).getAbsolutePath());
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    boolean agrees;
    try {
      agrees = new RemoteModelDemo(
                  spark, data, onnx, work, Engine.valueOf(arguments[4].toUpperCase(Locale.ROOT)))
              .run(Integer.parseInt(arguments[3]));
    } finally {
      spark.stop();
    }
    System.exit(agrees ? 0 : 1);
  }

  private boolean run(int images) throws IOException {
    System.out.printf(
        "%s, engine %s, kernel: %s%n",
        onnx.getName(), engine.label(), NativeLibrary.kernelName());
    compile();
    HybridModel model =
        HybridModel.load(
            new Path(work, "model/client"),
            new Path(work, "model/server"),
            spark.sparkContext().hadoopConfiguration());
    Path table = testImages(images);
    java.nio.file.Path keys = java.nio.file.Path.of(work + "/keys");
    Map<Mode, ScoreReport> reports = new EnumMap<>(Mode.class);
    Map<Mode, List<List<Row>>> scored = new EnumMap<>(Mode.class);
    try (ClientKey key = model.newKey()) {
      key.save(keys.resolve("client.key"));
      long start = System.nanoTime();
      model.evaluationKeys(key, keys, share -> {});
      System.out.printf(
          "evaluation key: %.1f MB in %.1f s%n",
          model.evaluationKeyBytes() / 1e6, (System.nanoTime() - start) / 1e9);
      for (Mode mode : MODES) {
        List<List<Row>> runs = new ArrayList<>();
        try (HybridSession session = model.session(spark, mode, key, keys)) {
          for (int run = 0; run < (mode == Mode.SIMULATE ? SIMULATIONS : 1); run++) {
            Path output = new Path(work, mode.lowerCase());
            reports.put(mode, session.score(table, output, true, progress(mode)));
            runs.add(read(output));
          }
        }
        scored.put(mode, runs);
      }
    }
    print(reports, scored);
    return isAsSimulated(scored);
  }

  private void compile() throws IOException {
    try (CalibrationTable records =
        CalibrationTable.open(spark, onnx, new Path(data, "calibration.parquet"))) {
      new ModelCompiler(spark.sparkContext().hadoopConfiguration())
          .compile(
              onnx,
              records.batches(),
              CompileOptions.remote(List.of(".")).engine(engine).build(),
              new Path(work, "model"));
    }
  }

  private static ScoreProgress progress(Mode mode) {
    return System.console() == null
        ? ScoreProgress.SILENT
        : new TerminalProgress(mode.lowerCase(), System.err);
  }

  /** The first images that the model was not trained on. */
  private Path testImages(int count) {
    Path table = new Path(work, "images");
    try (TableReader reader = TableReader.open(spark, new Path(data, "digits.parquet"));
        TableWriter writer =
            TableWriter.create(spark, table, reader.schema(), TableFormat.PARQUET, true)) {
      int written = 0;
      for (Iterator<Row> rows = reader.rows(); rows.hasNext() && written < count; ) {
        Row row = rows.next();
        if (row.<String>getAs("split").equals("test")) {
          writer.write(row);
          written++;
        }
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

  private static void print(Map<Mode, ScoreReport> reports, Map<Mode, List<List<Row>>> scored) {
    List<Row> disable = scored.get(Mode.DISABLE).get(0);
    System.out.printf("%n%-34s", "");
    MODES.forEach(mode -> System.out.printf("%12s", mode.lowerCase()));
    printRow("accuracy", scored, RemoteModelDemo::accuracy);
    printRow("same class as disable", scored, rows -> agreement(disable, rows));
    printRow("RMS of logits less disable's", scored, rows -> Math.sqrt(meanSquare(disable, rows)));
    System.out.printf("%n%-34s", "ms a record, end to end");
    for (Mode mode : MODES) {
      ScoreReport report = reports.get(mode);
      System.out.printf("%12.2f", 1e3 * report.seconds() / report.records());
    }
    ScoreReport execute = reports.get(Mode.EXECUTE);
    System.out.printf(
        "%n%-34s%48d%n%-34s%48d%n%-34s%48d%n",
        "images",
        execute.records(),
        "bytes a record, up",
        execute.bytesUp() / execute.records(),
        "bytes a record, down",
        execute.bytesDown() / execute.records());
  }

  private static void printRow(
      String name, Map<Mode, List<List<Row>>> scored, ToDoubleFunction<List<Row>> figure) {
    System.out.printf("%n%-34s", name);
    MODES.forEach(mode -> System.out.printf("%12.4f", mean(scored.get(mode), figure)));
  }

  /**
   * Whether mode EXECUTE is as accurate as SIMULATE said, within a hundredth and one image, and
   * agrees with DISABLE on all images but a hundredth, or one.
   */
  private static boolean isAsSimulated(Map<Mode, List<List<Row>>> scored) {
    List<Row> execute = scored.get(Mode.EXECUTE).get(0);
    double hundredth = Math.max(0.01, 1.0 / execute.size());
    double simulated = mean(scored.get(Mode.SIMULATE), RemoteModelDemo::accuracy);
    boolean isAsAccurate =
        Math.abs(accuracy(execute) - simulated) <= 0.01 + 1.0 / execute.size() + 1e-9;
    boolean agrees = agreement(scored.get(Mode.DISABLE).get(0), execute) >= 1 - hundredth - 1e-9;
    if (!isAsAccurate) {
      System.out.println("execute is not as accurate as simulate predicts");
    }
    if (!agrees) {
      System.out.println("execute disagrees with disable on more than one image in a hundred");
    }
    return isAsAccurate && agrees;
  }

  private static double mean(List<List<Row>> runs, ToDoubleFunction<List<Row>> figure) {
    return runs.stream().mapToDouble(figure).average().orElseThrow();
  }

  private static double accuracy(List<Row> rows) {
    long right = rows.stream().filter(row -> topClass(row) == row.<Long>getAs("label")).count();
    return (double) right / rows.size();
  }

  private static double agreement(List<Row> expected, List<Row> actual) {
    int same = 0;
    for (int i = 0; i < expected.size(); i++) {
      same += topClass(expected.get(i)) == topClass(actual.get(i)) ? 1 : 0;
    }
    return (double) same / expected.size();
  }

  private static double meanSquare(List<Row> expected, List<Row> actual) {
    double sum = 0;
    int count = 0;
    for (int i = 0; i < expected.size(); i++) {
      List<Float> left = logits(expected.get(i));
      List<Float> right = logits(actual.get(i));
      for (int j = 0; j < left.size(); j++) {
        double difference = left.get(j) - right.get(j);
        sum += difference * difference;
        count++;
      }
    }
    return sum / count;
  }

  private static List<Float> logits(Row row) {
    return row.getList(row.fieldIndex("logits"));
  }

  private static int topClass(Row row) {
    List<Float> logits = logits(row);
    int best = 0;
    for (int i = 1; i < logits.size(); i++) {
      if (logits.get(i) > logits.get(best)) {
        best = i;
      }
    }
    return best;
  }
}
