package org.fhespark.examples.minilm;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
import org.fhespark.jobs.client.Step;
import org.fhespark.jobs.client.TerminalProgress;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.NativeLibrary;

/**
 * Sentence embeddings with every linear module of MiniLM remote, on embedded Spark: how near they
 * are to the float model's, whether the encrypted run gives the quantised one's bits, and how long
 * it takes beside ONNX Runtime on the same sentences and cores. Exit status 1 if a value differs or
 * the mean cosine is below 0.998.
 */
public final class MiniLmDemo {
  private static final double LOWEST_MEAN_COSINE = 0.998;

  /** Of what a feed-forward block adds to a token, relative to its spread. */
  private static final double BLOCK_ERROR = 0.05;

  private static final double LOWEST_MEAN_COSINE_OF_BLOCKS = 0.99;
  private static final int CORES = 2;

  private final SparkSession spark;
  private final Path work;
  private final List<long[]> sentences;
  private final List<long[]> calibration;

  /** The feed-forward blocks are remote, GELU and all, in place of the linear modules. */
  private final boolean isOfBlocks;

  private MiniLmDemo(
      SparkSession spark,
      Path work,
      List<long[]> sentences,
      List<long[]> calibration,
      boolean isOfBlocks) {
    this.isOfBlocks = isOfBlocks;
    this.spark = spark;
    this.work = work;
    this.sentences = sentences;
    this.calibration = calibration;
  }

  public static void main(String[] arguments) throws Exception {
    Path texts = Path.of(arguments[0]);
    Path work = Path.of(arguments[1]);
    Path command = Path.of(arguments[2]);
    List<String> lines = TokenTable.lines(texts.resolve("sentences.txt"));
    if (arguments.length > 3) {
      lines = lines.subList(0, Integer.parseInt(arguments[3]));
    }
    boolean isRemote = arguments.length > 4 && arguments[4].equals("remote");
    boolean isOfBlocks = arguments.length > 4 && arguments[4].equals("blocks");
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local[" + CORES + "]")
            .setAppName("minilm")
            .set("spark.ui.enabled", "false");
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    boolean isGood;
    try {
      isGood =
          new MiniLmDemo(
                  spark,
                  work,
                  TokenTable.tokens(lines),
                  TokenTable.tokens(TokenTable.lines(texts.resolve("calibration.txt"))),
                  isOfBlocks)
              .run(isRemote ? Optional.of(command) : Optional.empty());
    } finally {
      spark.stop();
    }
    System.exit(isGood ? 0 : 1);
  }

  /**
   * @param command bin/fhe-spark, which serves the model for mode REMOTE
   */
  private boolean run(Optional<Path> command) throws Exception {
    System.out.println("kernel: " + NativeLibrary.kernelName());
    System.out.printf(
        "%d sentences, %d tokens%n",
        sentences.size(), sentences.stream().mapToInt(tokens -> tokens.length).sum());
    Path onnx = work.resolve("sentence-model.onnx");
    SentenceModel.write(onnx);
    TokenTable.write(spark, work.resolve("sentences"), sentences);
    TokenTable.write(spark, work.resolve("calibration"), calibration);
    compile(onnx);

    float[][] expected;
    double floatSeconds;
    try (FloatBaseline baseline = new FloatBaseline(onnx, CORES)) {
      baseline.embed(sentences);
      long start = System.nanoTime();
      expected = baseline.embed(sentences);
      floatSeconds = (System.nanoTime() - start) / 1e9;
    }
    System.out.printf(
        "ONNX Runtime, float32, %d threads, batches of similar length: %.2f s%n",
        CORES, floatSeconds);

    // The first run of a session plans its memory and compiles code, ONNX Runtime's too; what is
    // compared is the second.
    Map<Mode, ScoreReport> first = new EnumMap<>(Mode.class);
    Map<Mode, ScoreReport> reports = new EnumMap<>(Mode.class);
    HybridModel model =
        HybridModel.load(
            hadoop(work.resolve("model/client")),
            hadoop(work.resolve("model/server")),
            spark.sparkContext().hadoopConfiguration());
    Path keys = work.resolve("keys");
    try (ClientKey key = model.newKey()) {
      key.save(keys.resolve("client.key"));
      model.evaluationKeys(key, keys, share -> {});
      // In clear, leveled blocks are computed value by value, which takes longer than encrypted.
      List<Mode> modes =
          isOfBlocks
              ? List.of(Mode.TORCH, Mode.EXECUTE)
              : List.of(Mode.TORCH, Mode.DISABLE, Mode.EXECUTE);
      for (Mode mode : modes) {
        try (HybridSession session = model.session(spark, mode, key, keys)) {
          first.put(mode, score(session, mode));
          // Minutes of arithmetic beside which compiling code does not show.
          reports.put(mode, isOfBlocks ? first.get(mode) : score(session, mode));
        }
      }
    }
    if (command.isPresent()) {
      scoreRemote(command.get(), first, reports);
    }
    print(first, reports, floatSeconds);
    boolean isNear = true;
    for (Mode mode : reports.keySet()) {
      isNear &= compare(mode, expected);
    }
    System.out.println();
    long differing = 0;
    for (Mode mode : reports.keySet()) {
      // Polynomials and noise make leveled blocks inexact; the cosines tell by how much.
      if (mode.isEncrypted() && !isOfBlocks) {
        long values = differingValues(mode);
        System.out.printf(
            "values in which %s differs from disable: %d of %d%n",
            mode.lowerCase(), values, 2L * 384 * sentences.size());
        differing += values;
      }
    }
    return isNear && differing == 0;
  }

  private void compile(Path onnx) throws IOException {
    long start = System.nanoTime();
    List<String> remote = isOfBlocks ? SentenceModel.blocks() : SentenceModel.linears();
    CompileOptions.Builder options = CompileOptions.remote(remote);
    if (isOfBlocks) {
      options.engine(Engine.SIMD).simdError(BLOCK_ERROR);
    }
    try (CalibrationTable records =
        CalibrationTable.open(spark, hadoop(onnx), hadoop(work.resolve("calibration")))) {
      new ModelCompiler(spark.sparkContext().hadoopConfiguration())
          .compile(
              hadoop(onnx),
              records.batches(),
              options.build(),
              hadoop(work.resolve("model")));
    }
    System.out.printf(
        "compiled, %d modules remote, in %.1f s%n",
        remote.size(), (System.nanoTime() - start) / 1e9);
  }

  /** With a server in a process of its own, and a client that has neither circuits nor weights. */
  private void scoreRemote(
      Path command, Map<Mode, ScoreReport> first, Map<Mode, ScoreReport> reports)
      throws IOException {
    HybridModel client =
        HybridModel.load(
            hadoop(work.resolve("model/client")), spark.sparkContext().hadoopConfiguration());
    try (ServedModel served =
            ServedModel.start(
                command, work.resolve("model/server"), work.resolve("token"), CORES);
        ClientKey key = client.newKey();
        HybridSession session =
            client.remoteSession(spark, served.address(), key, Optional.empty())) {
      first.put(Mode.REMOTE, score(session, Mode.REMOTE));
      reports.put(Mode.REMOTE, score(session, Mode.REMOTE));
    }
  }

  private ScoreReport score(HybridSession session, Mode mode) {
    ScoreProgress progress =
        System.console() == null
            ? ScoreProgress.SILENT
            : new TerminalProgress(mode.lowerCase(), System.err);
    return session.score(hadoop(work.resolve("sentences")), hadoop(output(mode)), true, progress);
  }

  private Path output(Mode mode) {
    return work.resolve(mode.lowerCase());
  }

  private void print(
      Map<Mode, ScoreReport> first, Map<Mode, ScoreReport> reports, double floatSeconds) {
    System.out.printf("%n%-34s", "");
    reports.keySet().forEach(mode -> System.out.printf("%12s", mode.lowerCase()));
    System.out.printf("%n%-34s", "first run, end to end, s");
    first.values().forEach(report -> System.out.printf("%12.2f", report.seconds()));
    System.out.printf("%n%-34s", "second run, end to end, s");
    reports.values().forEach(report -> System.out.printf("%12.2f", report.seconds()));
    System.out.printf("%n%-34s", "x ONNX Runtime float32");
    reports
        .values()
        .forEach(report -> System.out.printf("%12.2f", report.seconds() / floatSeconds));
    for (Step step : Step.values()) {
      System.out.printf("%n%-34s", "  " + step.label() + ", s");
      reports
          .values()
          .forEach(
              report -> System.out.printf("%12.2f", report.stepSeconds().getOrDefault(step, 0.0)));
    }
    ScoreReport execute = reports.get(Mode.EXECUTE);
    double tokens = sentences.stream().mapToInt(sentence -> sentence.length).sum();
    System.out.printf(
        "%n%-34s%36.3f%n%-34s%36.0f%n%-34s%36.0f",
        "ms a token",
        1e3 * execute.seconds() / tokens,
        "bytes a token, up",
        execute.bytesUp() / tokens,
        "bytes a token, down",
        execute.bytesDown() / tokens);
    System.out.printf(
        "%n%-34s%36.2f%n%-34s%36.2f%n%-34s%36.2f%n",
        "bytes a value, up",
        execute.bytesPerValueUp(),
        "bytes a value, down",
        execute.bytesPerValueDown(),
        "noise margin, bits",
        execute.noiseMarginBits());
  }

  /** Prints the cosines of a mode's embeddings to the float model's; whether their mean suffices. */
  private boolean compare(Mode mode, float[][] expected) {
    double sum = 0;
    double least = 1;
    List<float[]> embeddings = column(mode, SentenceModel.EMBEDDING);
    if (embeddings.size() != expected.length) {
      throw new IllegalStateException(embeddings.size() + " rows of " + expected.length);
    }
    for (int i = 0; i < expected.length; i++) {
      double cosine = cosine(embeddings.get(i), expected[i]);
      sum += cosine;
      least = Math.min(least, cosine);
    }
    double mean = sum / expected.length;
    System.out.printf(
        "cosine of %s to ONNX Runtime float32: mean %.6f, least %.6f%n",
        mode.lowerCase(), mean, least);
    return mean >= (isOfBlocks ? LOWEST_MEAN_COSINE_OF_BLOCKS : LOWEST_MEAN_COSINE);
  }

  private static double cosine(float[] a, float[] b) {
    double product = 0;
    double squaresA = 0;
    double squaresB = 0;
    for (int i = 0; i < a.length; i++) {
      product += (double) a[i] * b[i];
      squaresA += (double) a[i] * a[i];
      squaresB += (double) b[i] * b[i];
    }
    return product / Math.sqrt(squaresA * squaresB);
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
