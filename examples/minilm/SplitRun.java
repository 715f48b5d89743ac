package org.fhespark.examples.minilm;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.jobs.client.CalibrationTable;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.Step;
import org.fhespark.jobs.client.TerminalProgress;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.nativelib.ClientKey;

/** MiniLM with one of its splits: compiled, scored in each mode, compared. */
final class SplitRun {
  private final SparkSession spark;
  private final Split split;
  private final Path folder;
  private final Path sentences;

  /** The first run of a session plans its memory and compiles code, ONNX Runtime's too. */
  private final Map<Mode, ScoreReport> first = new EnumMap<>(Mode.class);

  private final Map<Mode, ScoreReport> last = new EnumMap<>(Mode.class);

  /**
   * @param folder to work in
   * @param sentences the table to score
   */
  SplitRun(SparkSession spark, Split split, Path folder, Path sentences) {
    this.spark = spark;
    this.split = split;
    this.folder = folder;
    this.sentences = sentences;
  }

  Split split() {
    return split;
  }

  /** The run that speed is told by. */
  ScoreReport execute() {
    return last.get(Mode.EXECUTE);
  }

  void compile(Path onnx, Path calibration) throws IOException {
    long start = System.nanoTime();
    try (CalibrationTable records =
        CalibrationTable.open(spark, hadoop(onnx), hadoop(calibration))) {
      new ModelCompiler(spark.sparkContext().hadoopConfiguration())
          .compile(hadoop(onnx), records.batches(), split.options(), hadoop(folder.resolve("model")));
    }
    System.out.printf(
        "%n%s: compiled, %d modules remote, in %.1f s%n",
        split.lowerCase(), split.modules().size(), (System.nanoTime() - start) / 1e9);
  }

  /** In the modes of this Spark. */
  void score() throws IOException {
    HybridModel model =
        HybridModel.load(
            hadoop(folder.resolve("model/client")),
            hadoop(folder.resolve("model/server")),
            spark.sparkContext().hadoopConfiguration());
    Path keys = folder.resolve("keys");
    try (ClientKey key = model.newKey()) {
      key.save(keys.resolve("client.key"));
      model.evaluationKeys(key, keys, share -> {});
      for (Mode mode : split.modes()) {
        try (HybridSession session = model.session(spark, mode, key, keys)) {
          score(session, mode);
        }
      }
    }
  }

  /**
   * With a server in a process of its own, and a client that has neither circuits nor weights.
   *
   * @param command bin/fhe-spark, which serves the model
   * @param cores for the server
   */
  void scoreRemote(Path command, int cores) throws IOException {
    HybridModel client =
        HybridModel.load(
            hadoop(folder.resolve("model/client")), spark.sparkContext().hadoopConfiguration());
    Path keys = folder.resolve("keys-remote");
    try (ServedModel served =
            ServedModel.start(
                command, folder.resolve("model/server"), folder.resolve("token"), cores);
        ClientKey key = client.newKey()) {
      key.save(keys.resolve("client.key"));
      client.evaluationKeys(key, keys, share -> {});
      try (HybridSession session =
          client.remoteSession(spark, served.address(), key, Optional.of(keys))) {
        score(session, Mode.REMOTE);
      }
    }
  }

  private void score(HybridSession session, Mode mode) {
    for (int run = 0; run < split.runs(); run++) {
      ScoreProgress progress =
          System.console() == null
              ? ScoreProgress.SILENT
              : new TerminalProgress(mode.lowerCase(), System.err);
      ScoreReport report =
          session.score(hadoop(sentences), hadoop(output(mode)), true, progress);
      first.putIfAbsent(mode, report);
      last.put(mode, report);
    }
  }

  private Path output(Mode mode) {
    return folder.resolve(mode.lowerCase());
  }

  /**
   * @param floatSeconds what ONNX Runtime takes for the same sentences
   * @param tokens of all sentences
   */
  void print(double floatSeconds, int tokens) {
    System.out.printf("%n%-34s", "");
    last.keySet().forEach(mode -> System.out.printf("%12s", mode.lowerCase()));
    if (split.runs() > 1) {
      System.out.printf("%n%-34s", "first run, end to end, s");
      first.values().forEach(report -> System.out.printf("%12.2f", report.seconds()));
    }
    System.out.printf("%n%-34s", split.runs() > 1 ? "last run, end to end, s" : "end to end, s");
    last.values().forEach(report -> System.out.printf("%12.2f", report.seconds()));
    System.out.printf("%n%-34s", "x ONNX Runtime float32");
    last.values().forEach(report -> System.out.printf("%12.2f", report.seconds() / floatSeconds));
    for (Step step : Step.values()) {
      System.out.printf("%n%-34s", "  " + step.label() + ", s");
      last.values()
          .forEach(
              report -> System.out.printf("%12.2f", report.stepSeconds().getOrDefault(step, 0.0)));
    }
    ScoreReport execute = execute();
    System.out.println();
    figure("ms a token", 1e3 * execute.seconds() / tokens);
    figure("bytes a token, up", (double) execute.bytesUp() / tokens);
    figure("bytes a token, down", (double) execute.bytesDown() / tokens);
    figure("bytes a value, up", execute.bytesPerValueUp());
    figure("bytes a value, down", execute.bytesPerValueDown());
    if (split.isExact()) {
      figure("noise margin, bits", execute.noiseMarginBits());
    }
  }

  /** Of mode execute, below its column. */
  private void figure(String name, double value) {
    int columns = 1 + split.modes().indexOf(Mode.EXECUTE);
    System.out.printf("%-34s%" + 12 * columns + ".3f%n", name, value);
  }

  /**
   * Compares what was scored with the float model's embeddings, and in exact splits encrypted runs
   * with the quantised one in clear; prints it.
   *
   * @return whether all is as expected of the split
   */
  boolean compare(float[][] expected) {
    boolean isGood = true;
    for (Mode mode : last.keySet()) {
      Cosines cosines = cosines(mode, expected);
      System.out.printf(
          "cosine of %s to ONNX Runtime float32: mean %.6f, least %.6f%n",
          mode.lowerCase(), cosines.mean(), cosines.least());
      isGood &= cosines.mean() >= split.leastMeanCosine();
    }
    for (Mode mode : last.keySet()) {
      if (mode.isEncrypted() && split.isExact()) {
        long differing = differingValues(mode);
        System.out.printf(
            "values in which %s differs from disable: %d of %d%n",
            mode.lowerCase(), differing, 2L * 384 * expected.length);
        isGood &= differing == 0;
      }
    }
    return isGood;
  }

  /** Of a mode's embeddings to the float model's. */
  Cosines cosines(Mode mode, float[][] expected) {
    return Cosines.of(column(mode, SentenceModel.EMBEDDING), expected);
  }

  private long differingValues(Mode encrypted) {
    long differing = 0;
    for (String name : List.of(SentenceModel.EMBEDDING, SentenceModel.POOLED)) {
      List<float[]> expected = column(Mode.DISABLE, name);
      List<float[]> actual = column(encrypted, name);
      for (int i = 0; i < expected.size(); i++) {
        for (int j = 0; j < expected.get(i).length; j++) {
          int bits = Float.floatToIntBits(expected.get(i)[j]);
          differing += bits == Float.floatToIntBits(actual.get(i)[j]) ? 0 : 1;
        }
      }
    }
    return differing;
  }

  private List<float[]> column(Mode mode, String name) {
    List<float[]> values = new ArrayList<>();
    try (TableReader reader = TableReader.open(spark, hadoop(output(mode)))) {
      for (Iterator<Row> rows = reader.rows(); rows.hasNext(); ) {
        Row row = rows.next();
        List<Float> list = row.getList(row.fieldIndex(name));
        float[] array = new float[list.size()];
        for (int i = 0; i < array.length; i++) {
          array[i] = list.get(i);
        }
        values.add(array);
      }
    }
    return values;
  }

  private static org.apache.hadoop.fs.Path hadoop(Path path) {
    return new org.apache.hadoop.fs.Path(path.toUri());
  }
}
