import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
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
 * A whole model remote, its ReLU too: scikit-learn's handwritten digits through the MLP 64-32-10,
 * which leaves no part of it in clear. Images of the test split in every mode, on embedded Spark.
 */
public final class RemoteMlpDemo {
  private static final List<Mode> MODES =
      List.of(Mode.TORCH, Mode.DISABLE, Mode.SIMULATE, Mode.EXECUTE);

  private final SparkSession spark;
  private final Path data;
  private final Path work;

  private RemoteMlpDemo(SparkSession spark, Path data, Path work) {
    this.spark = spark;
    this.data = data;
    this.work = work;
  }

  public static void main(String[] arguments) throws IOException {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local[2]")
            .setAppName("mlp-remote")
            .set("spark.ui.enabled", "false");
    Path data = new Path(new File(arguments[0]).getAbsolutePath());
    Path work = new Path(new File(arguments[1]).getAbsolutePath());
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    boolean agrees;
    try {
      agrees = new RemoteMlpDemo(spark, data, work).run(Integer.parseInt(arguments[2]));
    } finally {
      spark.stop();
    }
    System.exit(agrees ? 0 : 1);
  }

  private boolean run(int images) throws IOException {
    System.out.println("kernel: " + NativeLibrary.kernelName());
    compile();
    HybridModel model =
        HybridModel.load(
            new Path(work, "model/client"),
            new Path(work, "model/server"),
            spark.sparkContext().hadoopConfiguration());
    Path table = testImages(images);
    java.nio.file.Path keys = java.nio.file.Path.of(work + "/keys");
    Map<Mode, ScoreReport> reports = new EnumMap<>(Mode.class);
    Map<Mode, List<Row>> scored = new EnumMap<>(Mode.class);
    try (ClientKey key = model.newKey()) {
      key.save(keys.resolve("client.key"));
      long start = System.nanoTime();
      model.evaluationKeys(key, keys, share -> {});
      System.out.printf(
          "evaluation key: %.1f MB in %.1f s%n",
          model.evaluationKeyBytes() / 1e6, (System.nanoTime() - start) / 1e9);
      for (Mode mode : MODES) {
        Path output = new Path(work, mode.lowerCase());
        try (HybridSession session = model.session(spark, mode, key, keys)) {
          reports.put(mode, session.score(table, output, true, progress(mode)));
        }
        scored.put(mode, read(output));
      }
    }
    return print(reports, scored);
  }

  private void compile() throws IOException {
    Path onnx = new Path(data, "mlp.onnx");
    try (CalibrationTable records =
        CalibrationTable.open(spark, onnx, new Path(data, "calibration.parquet"))) {
      new ModelCompiler(spark.sparkContext().hadoopConfiguration())
          .compile(
              onnx,
              records.batches(),
              CompileOptions.remote(List.of(".")).build(),
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

  /** Returns whether encryption costs at most one image in a hundred. */
  private static boolean print(Map<Mode, ScoreReport> reports, Map<Mode, List<Row>> scored) {
    System.out.printf("%n%-34s", "");
    reports.keySet().forEach(mode -> System.out.printf("%12s", mode.lowerCase()));
    System.out.printf("%n%-34s", "accuracy");
    MODES.forEach(mode -> System.out.printf("%12.4f", accuracy(scored.get(mode))));
    System.out.printf("%n%-34s", "same class as disable");
    List<Row> disable = scored.get(Mode.DISABLE);
    MODES.forEach(mode -> System.out.printf("%12.4f", agreement(disable, scored.get(mode))));
    System.out.printf("%n%-34s", "ms a record, end to end");
    reports
        .values()
        .forEach(report -> System.out.printf("%12.2f", 1e3 * report.seconds() / report.records()));
    ScoreReport execute = reports.get(Mode.EXECUTE);
    System.out.printf(
        "%n%-34s%48d%n%-34s%48d%n%-34s%48d%n",
        "images",
        execute.records(),
        "bytes a record, up",
        execute.bytesUp() / execute.records(),
        "bytes a record, down",
        execute.bytesDown() / execute.records());
    return agreement(disable, scored.get(Mode.EXECUTE)) >= 0.99
        && Math.abs(accuracy(disable) - accuracy(scored.get(Mode.EXECUTE))) <= 0.01;
  }

  private static double accuracy(List<Row> rows) {
    long right =
        rows.stream().filter(row -> topClass(row) == row.<Long>getAs("label")).count();
    return (double) right / rows.size();
  }

  private static double agreement(List<Row> expected, List<Row> actual) {
    int same = 0;
    for (int i = 0; i < expected.size(); i++) {
      same += topClass(expected.get(i)) == topClass(actual.get(i)) ? 1 : 0;
    }
    return (double) same / expected.size();
  }

  private static int topClass(Row row) {
    List<Float> logits = row.getList(row.fieldIndex("logits"));
    int best = 0;
    for (int i = 1; i < logits.size(); i++) {
      if (logits.get(i) > logits.get(best)) {
        best = i;
      }
    }
    return best;
  }
}
