import java.io.File;
import java.io.IOException;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.jobs.client.CalibrationTable;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.jobs.client.Step;
import org.fhespark.jobs.client.TerminalProgress;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.NativeLibrary;

/**
 * The whole road on real data: scikit-learn's 1,797 handwritten digits, an MLP 64-128-64-10 with all
 * its Linear modules remote, on embedded Spark. Run by `make demo`.
 */
public final class DigitsDemo {
  private static final List<Mode> MODES = List.of(Mode.TORCH, Mode.DISABLE, Mode.EXECUTE);
  private static final List<String> REMOTE = List.of("seq.0", "seq.2", "seq.4");

  private final SparkSession spark;
  private final Path data;
  private final Path work;

  private DigitsDemo(SparkSession spark, Path data, Path work) {
    this.spark = spark;
    this.data = data;
    this.work = work;
  }

  public static void main(String[] arguments) throws IOException {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local[2]")
            .setAppName("digits")
            .set("spark.ui.enabled", "false");
    Path data = new Path(new File(arguments[0]).getAbsolutePath());
    Path work = new Path(new File(arguments[1]).getAbsolutePath());
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    boolean isExact;
    try {
      isExact = new DigitsDemo(spark, data, work).run();
    } finally {
      spark.stop();
    }
    System.exit(isExact ? 0 : 1);
  }

  private boolean run() throws IOException {
    System.out.println("kernel: " + NativeLibrary.kernelName());
    compile();
    HybridModel model =
        HybridModel.load(
            new Path(work, "model/client"),
            new Path(work, "model/server"),
            spark.sparkContext().hadoopConfiguration());
    Map<Mode, ScoreReport> reports = new EnumMap<>(Mode.class);
    try (ClientKey key = model.newKey()) {
      key.save(java.nio.file.Path.of(work + "/keys/client.key"));
      for (Mode mode : MODES) {
        try (HybridSession session = model.session(spark, mode, key)) {
          // The first run of a JVM is compilation and class loading; the second is what is reported.
          score(session, mode);
          reports.put(mode, score(session, mode));
        }
      }
    }
    print(reports);
    long differing = differingValues(Mode.DISABLE, Mode.EXECUTE);
    System.out.printf(
        "%nvalues in which execute differs from disable: %d of %d%n",
        differing, 10 * reports.get(Mode.EXECUTE).records());
    return differing == 0;
  }

  private void compile() throws IOException {
    Path onnx = new Path(data, "digits.onnx");
    try (CalibrationTable records =
        CalibrationTable.open(spark, onnx, new Path(data, "calibration.parquet"))) {
      long start = System.nanoTime();
      CompileReport report =
          new ModelCompiler(spark.sparkContext().hadoopConfiguration())
              .compile(
                  onnx,
                  records.batches(),
                  CompileOptions.remote(REMOTE).build(),
                  new Path(work, "model"));
      System.out.printf("compiled in %.2f s%n", (System.nanoTime() - start) / 1e9);
      for (CompileReport.Module module : report.modules()) {
        System.out.printf(
            "  %s: %d x %d, %d-bit weights, %d-bit activations, n = %d, q = 2^%d, p = %d,"
                + " failure 2^%.0f a value%n",
            module.module(),
            module.dIn(),
            module.dOut(),
            module.weightBits(),
            module.activationBits(),
            module.lweDimension(),
            module.log2Modulus(),
            module.parameters().messageBits(),
            module.log2FailureProbability());
      }
    }
  }

  private ScoreReport score(HybridSession session, Mode mode) {
    ScoreProgress progress =
        System.console() == null
            ? ScoreProgress.SILENT
            : new TerminalProgress(mode.lowerCase(), System.err);
    return session.score(new Path(data, "digits.parquet"), output(mode), true, progress);
  }

  private Path output(Mode mode) {
    return new Path(work, mode.lowerCase());
  }

  private void print(Map<Mode, ScoreReport> reports) {
    System.out.printf("%n%-34s", "");
    reports.keySet().forEach(mode -> System.out.printf("%12s", mode.lowerCase()));
    System.out.printf("%n%-34s", "accuracy, all images");
    reports.keySet().forEach(mode -> System.out.printf("%12.4f", accuracy(mode, false)));
    System.out.printf("%n%-34s", "accuracy, test split");
    reports.keySet().forEach(mode -> System.out.printf("%12.4f", accuracy(mode, true)));
    System.out.printf("%n%-34s", "records/s, end to end");
    reports.values().forEach(report -> System.out.printf("%12.0f", report.recordsPerSecond()));
    System.out.printf("%n%-34s", "wall time, s");
    reports.values().forEach(report -> System.out.printf("%12.3f", report.seconds()));
    for (Step step : Step.values()) {
      System.out.printf("%n%-34s", "  " + step.label() + ", s");
      reports
          .values()
          .forEach(report -> System.out.printf("%12.3f", report.stepSeconds().get(step)));
    }
    ScoreReport execute = reports.get(Mode.EXECUTE);
    System.out.printf(
        "%n%-34s%36.2f%n%-34s%36.2f%n%-34s%36.2f%n",
        "bytes a value, up",
        execute.bytesPerValueUp(),
        "bytes a value, down",
        execute.bytesPerValueDown(),
        "noise margin, bits",
        execute.noiseMarginBits());
  }

  private double accuracy(Mode mode, boolean isTestOnly) {
    int right = 0;
    int all = 0;
    try (TableReader reader = TableReader.open(spark, output(mode))) {
      for (Iterator<Row> rows = reader.rows(); rows.hasNext(); ) {
        Row row = rows.next();
        if (isTestOnly && !row.<String>getAs("split").equals("test")) {
          continue;
        }
        all++;
        if (argmax(row.getList(row.fieldIndex("logits"))) == row.<Long>getAs("label")) {
          right++;
        }
      }
    }
    return (double) right / all;
  }

  private static int argmax(List<Float> logits) {
    int best = 0;
    for (int i = 1; i < logits.size(); i++) {
      if (logits.get(i) > logits.get(best)) {
        best = i;
      }
    }
    return best;
  }

  private long differingValues(Mode one, Mode other) {
    long differing = 0;
    try (TableReader first = TableReader.open(spark, output(one));
        TableReader second = TableReader.open(spark, output(other))) {
      Iterator<Row> expected = first.rows();
      Iterator<Row> actual = second.rows();
      while (expected.hasNext() && actual.hasNext()) {
        Row row = expected.next();
        List<Float> a = row.getList(row.fieldIndex("logits"));
        List<Float> b = actual.next().getList(row.fieldIndex("logits"));
        for (int i = 0; i < a.size(); i++) {
          differing += Float.floatToIntBits(a.get(i)) == Float.floatToIntBits(b.get(i)) ? 0 : 1;
        }
      }
      if (expected.hasNext() || actual.hasNext()) {
        throw new IllegalStateException("the outputs have different numbers of rows");
      }
    }
    return differing;
  }
}
