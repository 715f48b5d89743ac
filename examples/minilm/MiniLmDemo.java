package org.fhespark.examples.minilm;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.nativelib.NativeLibrary;

/**
 * Sentence embeddings with modules of MiniLM remote, on embedded Spark: how near they are to the
 * float model's, whether the encrypted run of linear modules gives the quantised one's bits, and
 * how long it takes beside ONNX Runtime on the same sentences and cores. Exit status 1 if a value
 * differs or the mean cosine is too low ({@link Split}).
 */
public final class MiniLmDemo {
  private static final int CORES = 2;

  private final SparkSession spark;
  private final Path work;
  private final List<long[]> sentences;
  private final List<long[]> calibration;

  private MiniLmDemo(
      SparkSession spark, Path work, List<long[]> sentences, List<long[]> calibration) {
    this.spark = spark;
    this.work = work;
    this.sentences = sentences;
    this.calibration = calibration;
  }

  /**
   * Arguments: folder of texts, folder to work in, bin/fhe-spark; how many sentences (default:
   * all); then splits by name (default: linears), and `remote` for mode remote too.
   */
  public static void main(String[] arguments) throws Exception {
    Locale.setDefault(Locale.ROOT);
    Path texts = Path.of(arguments[0]);
    Path work = Path.of(arguments[1]);
    Path command = Path.of(arguments[2]);
    List<String> lines = TokenTable.lines(texts.resolve("sentences.txt"));
    if (arguments.length > 3) {
      lines = lines.subList(0, Integer.parseInt(arguments[3]));
    }
    Set<Split> splits = EnumSet.noneOf(Split.class);
    boolean isRemote = false;
    for (int i = 4; i < arguments.length; i++) {
      if (arguments[i].equals("remote")) {
        isRemote = true;
      } else {
        splits.add(Split.valueOf(arguments[i].toUpperCase(Locale.ROOT)));
      }
    }
    if (splits.isEmpty()) {
      splits.add(Split.LINEARS);
    }
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local[" + CORES + "]")
            .setAppName("minilm")
            .set("spark.ui.enabled", "false");
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    boolean isGood;
    try {
      MiniLmDemo demo =
          new MiniLmDemo(
              spark,
              work,
              TokenTable.tokens(lines),
              TokenTable.tokens(TokenTable.lines(texts.resolve("calibration.txt"))));
      isGood = demo.run(splits, isRemote ? Optional.of(command) : Optional.empty());
    } finally {
      spark.stop();
    }
    System.exit(isGood ? 0 : 1);
  }

  private boolean run(Set<Split> splits, Optional<Path> command) throws Exception {
    int tokens = sentences.stream().mapToInt(ids -> ids.length).sum();
    System.out.println("kernel: " + NativeLibrary.kernelName());
    System.out.printf("%d sentences, %d tokens%n", sentences.size(), tokens);
    Path onnx = work.resolve("sentence-model.onnx");
    SentenceModel.write(onnx);
    TokenTable.write(spark, work.resolve("sentences"), sentences);
    TokenTable.write(spark, work.resolve("calibration"), calibration);

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

    boolean isGood = true;
    List<SplitRun> runs = new ArrayList<>();
    for (Split split : splits) {
      SplitRun run = run(split, onnx, command);
      run.print(floatSeconds, tokens);
      isGood &= run.compare(expected);
      runs.add(run);
    }
    if (runs.size() > 1) {
      printSideBySide(runs, expected, floatSeconds, tokens);
    }
    return isGood;
  }

  private SplitRun run(Split split, Path onnx, Optional<Path> command) throws IOException {
    Path folder = Files.createDirectories(work.resolve(split.lowerCase()));
    SplitRun run = new SplitRun(spark, split, folder, work.resolve("sentences"));
    run.compile(onnx, work.resolve("calibration"));
    run.score();
    if (command.isPresent()) {
      run.scoreRemote(command.get(), CORES);
    }
    return run;
  }

  private static void printSideBySide(
      List<SplitRun> runs, float[][] expected, double floatSeconds, int tokens) {
    System.out.printf(
        "%n%-12s%12s%12s%16s%16s%12s%12s%n",
        "remote", "modules", "ms a token", "x float32", "B a token up", "down", "mean cosine");
    for (SplitRun run : runs) {
      ScoreReport execute = run.execute();
      System.out.printf(
          "%-12s%12d%12.3f%16.2f%16.0f%12.0f%12.6f%n",
          run.split().lowerCase(),
          run.split().modules().size(),
          1e3 * execute.seconds() / tokens,
          execute.seconds() / floatSeconds,
          (double) execute.bytesUp() / tokens,
          (double) execute.bytesDown() / tokens,
          run.cosines(Mode.EXECUTE, expected).mean());
    }
  }
}
