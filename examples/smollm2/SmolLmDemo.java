package org.fhespark.examples.smollm2;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
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
 * A language model with all linear modules of its decoder remote: how often the encrypted model
 * chooses the next token that the float model chooses, whether it gives the quantised model's bits,
 * and text that it generates. Exit status 1 if a value or a generated token differs, or fewer than
 * 95 % of the choices agree.
 */
public final class SmolLmDemo {
  private static final double LOWEST_AGREEMENT = 0.95;
  // Its activations have outliers: with fewer bits too few choices agree (see README.md).
  private static final int ACTIVATION_BITS = 12;
  private static final List<String> REMOTE =
      List.of("model.layers.*.self_attn.*_proj", "model.layers.*.mlp.*_proj");
  private static final int CORES = 2;
  private static final List<String> FLOAT_OUTPUTS = List.of("state", "keys", "values");

  private final SparkSession spark;
  private final Path source;
  private final Path work;

  private SmolLmDemo(SparkSession spark, Path source, Path work) {
    this.spark = spark;
    this.source = source;
    this.work = work;
  }

  /** Arguments: model folder, file of prompts, work folder, tokens of an answer, passages, prompts. */
  public static void main(String[] arguments) throws IOException {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local[" + CORES + "]")
            .setAppName("smollm2")
            // Few rows make one block, whose task then takes all cores.
            .set("spark.task.cpus", String.valueOf(CORES))
            .set("spark.ui.enabled", "false");
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    boolean isGood;
    try {
      isGood =
          new SmolLmDemo(spark, Path.of(arguments[0]), Path.of(arguments[2]))
              .run(
                  Files.readAllLines(Path.of(arguments[1])).stream()
                      .limit(Integer.parseInt(arguments[5]))
                      .toList(),
                  Integer.parseInt(arguments[3]),
                  Integer.parseInt(arguments[4]));
    } finally {
      spark.stop();
    }
    System.exit(isGood ? 0 : 1);
  }

  private boolean run(List<String> questions, int tokens, int passages) throws IOException {
    System.out.println("kernel: " + NativeLibrary.kernelName());
    compile();
    Path text = work.resolve("text");
    spark
        .read()
        .parquet(source.resolve("text.parquet").toString())
        .orderBy("id")
        .limit(passages)
        .coalesce(1)
        .write()
        .parquet(text.toString());
    HybridModel model =
        HybridModel.load(
            hadoop(work.resolve("model/client")),
            hadoop(work.resolve("model/server")),
            spark.sparkContext().hadoopConfiguration());
    Map<Mode, ScoreReport> reports = new EnumMap<>(Mode.class);
    Map<Mode, Generation.Answers> answers = new EnumMap<>(Mode.class);
    try (ClientKey key = model.newKey();
        HuggingFaceTokenizer tokenizer =
            HuggingFaceTokenizer.newInstance(
                source.resolve("tokenizer.json"), Map.of("truncation", "do_not_truncate"))) {
      for (Mode mode : List.of(Mode.TORCH, Mode.DISABLE, Mode.EXECUTE)) {
        try (HybridSession session = model.session(spark, mode, key)) {
          reports.put(
              mode, session.score(hadoop(text), hadoop(output(mode)), true, progress(mode)));
          if (mode != Mode.TORCH) {
            answers.put(mode, new Generation(session, tokenizer, CORES).answer(questions, tokens));
          }
        }
      }
      print(reports);
      boolean isGood = compare();
      Generation.Answers encrypted = answers.get(Mode.EXECUTE);
      print(questions, encrypted, tokenizer);
      boolean isSame = encrypted.tokens().equals(answers.get(Mode.DISABLE).tokens());
      System.out.println(
          "\nthe quantised model generates in clear "
              + (isSame ? "the same tokens" : "OTHER TOKENS"));
      return isGood && isSame;
    }
  }

  private static ScoreProgress progress(Mode mode) {
    return System.console() == null
        ? ScoreProgress.SILENT
        : new TerminalProgress(mode.lowerCase(), System.err);
  }

  private void compile() throws IOException {
    long start = System.nanoTime();
    Path onnx = source.resolve("smollm2.onnx");
    try (CalibrationTable records =
        CalibrationTable.open(spark, hadoop(onnx), hadoop(source.resolve("calibration.parquet")))) {
      CompileReport report =
          new ModelCompiler(spark.sparkContext().hadoopConfiguration())
              .compile(
                  hadoop(onnx),
                  records.batches(),
                  CompileOptions.remote(REMOTE).activationBits(ACTIVATION_BITS).build(),
                  hadoop(work.resolve("model")));
      System.out.printf(
          "compiled, %d modules remote, in %.1f s%n",
          report.modules().size(), (System.nanoTime() - start) / 1e9);
    }
  }

  private Path output(Mode mode) {
    return work.resolve(mode.lowerCase());
  }

  private static void print(Map<Mode, ScoreReport> reports) {
    System.out.printf("%n%-34s", "");
    reports.keySet().forEach(mode -> System.out.printf("%12s", mode.lowerCase()));
    System.out.printf("%n%-34s", "end to end, s");
    reports.values().forEach(report -> System.out.printf("%12.2f", report.seconds()));
    for (Step step : Step.values()) {
      System.out.printf("%n%-34s", "  " + step.label() + ", s");
      reports
          .values()
          .forEach(
              report -> System.out.printf("%12.2f", report.stepSeconds().getOrDefault(step, 0.0)));
    }
    ScoreReport execute = reports.get(Mode.EXECUTE);
    System.out.printf(
        "%n%-34s%36.2f%n%-34s%36.2f%n%-34s%36.2f%n%n",
        "bytes a value, up",
        execute.bytesPerValueUp(),
        "bytes a value, down",
        execute.bytesPerValueDown(),
        "noise margin, bits",
        execute.noiseMarginBits());
  }

  /** Compares the modes token by token; whether they are as near as they must be. */
  private boolean compare() {
    long tokens = 0;
    long agreeing = 0;
    long values = 0;
    long differing = 0;
    try (TableReader torch = TableReader.open(spark, hadoop(output(Mode.TORCH)));
        TableReader disable = TableReader.open(spark, hadoop(output(Mode.DISABLE)));
        TableReader execute = TableReader.open(spark, hadoop(output(Mode.EXECUTE)))) {
      Iterator<Row> floats = torch.rows();
      Iterator<Row> quantised = disable.rows();
      for (Iterator<Row> rows = execute.rows(); rows.hasNext(); ) {
        Row row = rows.next();
        Row exact = quantised.next();
        List<Long> chosen = row.getList(row.fieldIndex("next_token"));
        List<Long> chosenInClear = exact.getList(exact.fieldIndex("next_token"));
        Row reference = floats.next();
        List<Long> expected = reference.getList(reference.fieldIndex("next_token"));
        int length = row.getList(row.fieldIndex("input_ids")).size();
        for (int i = 0; i < length; i++) {
          tokens++;
          values++;
          agreeing += chosen.get(i).equals(expected.get(i)) ? 1 : 0;
          differing += chosen.get(i).equals(chosenInClear.get(i)) ? 0 : 1;
        }
        for (String output : FLOAT_OUTPUTS) {
          List<Float> actual = row.getList(row.fieldIndex(output));
          List<Float> inClear = exact.getList(exact.fieldIndex(output));
          if (actual.size() != inClear.size()) {
            throw new IllegalStateException(output + " differ in size between modes");
          }
          for (int i = 0; i < actual.size(); i++) {
            int bits = Float.floatToIntBits(inClear.get(i));
            differing += bits == Float.floatToIntBits(actual.get(i)) ? 0 : 1;
          }
          values += actual.size();
        }
      }
    }
    double agreement = (double) agreeing / tokens;
    System.out.printf(
        "next token equal to the float model's: %.4f of %d%n"
            + "values in which execute differs from disable: %d of %d%n",
        agreement, tokens, differing, values);
    return agreement >= LOWEST_AGREEMENT && differing == 0;
  }

  private static void print(
      List<String> questions, Generation.Answers answers, HuggingFaceTokenizer tokenizer) {
    for (int i = 0; i < questions.size(); i++) {
      System.out.printf(
          "%n> %s%n%s%n",
          questions.get(i), Generation.text(tokenizer, answers.tokens().get(i)).strip());
    }
    List<ScoreReport> steps = answers.steps();
    List<ScoreReport> all = new ArrayList<>(steps);
    all.addAll(answers.masks());
    double seconds = all.stream().mapToDouble(ScoreReport::seconds).sum();
    System.out.printf(
        "%n%d prompts at once, encrypted: %d tokens in %.1f s, %.2f tokens/s%n",
        questions.size(), answers.tokenCount(), seconds, answers.tokenCount() / seconds);
    print("the first step, whole prompts", steps.subList(0, 1));
    print("masks of later steps", answers.masks());
    print("a later step", steps.subList(1, steps.size()));
  }

  /** Prints what one of these steps cost on average. */
  private static void print(String name, List<ScoreReport> steps) {
    if (steps.isEmpty()) {
      return;
    }
    System.out.printf(
        "%s, %d times: %.2f s, %.1f MB up, %.1f MB down",
        name,
        steps.size(),
        steps.stream().mapToDouble(ScoreReport::seconds).average().orElseThrow(),
        steps.stream().mapToDouble(ScoreReport::bytesUp).average().orElseThrow() / 1e6,
        steps.stream().mapToDouble(ScoreReport::bytesDown).average().orElseThrow() / 1e6);
    for (Step step : List.of(Step.CLEAR, Step.ENCRYPT, Step.EVALUATE, Step.DECRYPT)) {
      System.out.printf(
          "; %s %.2f s",
          step.label(),
          steps.stream().mapToDouble(report -> report.stepSeconds().get(step)).average().orElse(0));
    }
    System.out.println();
  }

  private static org.apache.hadoop.fs.Path hadoop(Path path) {
    return new org.apache.hadoop.fs.Path(path.toUri());
  }
}
