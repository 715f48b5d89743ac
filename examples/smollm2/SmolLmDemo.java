import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
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
import org.fhespark.jobs.client.Step;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.NativeLibrary;

/**
 * A language model with all linear modules of its decoder remote: how often the encrypted model
 * chooses the next token that the float model chooses, whether it gives the quantised model's bits,
 * and text that it generates. Exit status 1 if a value differs or fewer than 95 % of the choices
 * agree.
 */
public final class SmolLmDemo {
  private static final double LOWEST_AGREEMENT = 0.95;
  // Its activations have outliers: with fewer bits too few choices agree (see README.md).
  private static final int ACTIVATION_BITS = 12;
  private static final int LAYERS = 30;
  private static final int WIDTH = 576;

  private final SparkSession spark;
  private final Path source;
  private final Path work;

  private SmolLmDemo(SparkSession spark, Path source, Path work) {
    this.spark = spark;
    this.source = source;
    this.work = work;
  }

  public static void main(String[] arguments) throws IOException {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf())
            .setMaster("local[2]")
            .setAppName("smollm2")
            .set("spark.ui.enabled", "false");
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    boolean isGood;
    try {
      isGood =
          new SmolLmDemo(spark, Path.of(arguments[0]), Path.of(arguments[2]))
              .run(Files.readAllLines(Path.of(arguments[1])), Integer.parseInt(arguments[3]));
    } finally {
      spark.stop();
    }
    System.exit(isGood ? 0 : 1);
  }

  private boolean run(List<String> questions, int tokens) throws IOException {
    System.out.println("kernel: " + NativeLibrary.kernelName());
    compile();
    HybridModel model =
        HybridModel.load(
            hadoop(work.resolve("model/client")),
            hadoop(work.resolve("model/server")),
            spark.sparkContext().hadoopConfiguration());
    try (ClientKey key = model.newKey()) {
      for (Mode mode : List.of(Mode.TORCH, Mode.DISABLE)) {
        try (HybridSession session = model.session(spark, mode, key)) {
          score(session, mode);
        }
      }
      try (HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
        score(session, Mode.EXECUTE);
        boolean isExact = compare();
        generate(session, questions, tokens);
        return isExact;
      }
    }
  }

  private void compile() throws IOException {
    List<String> keys = new ArrayList<>();
    for (int layer = 0; layer < LAYERS; layer++) {
      for (String name : List.of("q_proj", "k_proj", "v_proj", "o_proj")) {
        keys.add("model.layers." + layer + ".self_attn." + name);
      }
      for (String name : List.of("gate_proj", "up_proj", "down_proj")) {
        keys.add("model.layers." + layer + ".mlp." + name);
      }
    }
    long start = System.nanoTime();
    Path onnx = source.resolve("smollm2.onnx");
    try (CalibrationTable records =
        CalibrationTable.open(spark, hadoop(onnx), hadoop(source.resolve("calibration.parquet")))) {
      new ModelCompiler(spark.sparkContext().hadoopConfiguration())
          .compile(
              hadoop(onnx),
              records.batches(),
              CompileOptions.remote(keys).activationBits(ACTIVATION_BITS).build(),
              hadoop(work.resolve("model")));
    }
    System.out.printf(
        "compiled, %d modules remote, in %.1f s%n", keys.size(), (System.nanoTime() - start) / 1e9);
  }

  private void score(HybridSession session, Mode mode) {
    ScoreReport report =
        session.score(
            hadoop(source.resolve("text.parquet")),
            hadoop(work.resolve(mode.lowerCase())),
            true,
            ScoreProgress.SILENT);
    System.out.printf("%s: %.1f s", mode.lowerCase(), report.seconds());
    for (Step step : Step.values()) {
      System.out.printf(", %s %.1f", step.label(), report.stepSeconds().getOrDefault(step, 0.0));
    }
    System.out.println();
  }

  /** Compares the modes token by token; whether they are as near as they must be. */
  private boolean compare() {
    long tokens = 0;
    long agreeing = 0;
    long differing = 0;
    try (TableReader torch = TableReader.open(spark, hadoop(work.resolve("torch")));
        TableReader disable = TableReader.open(spark, hadoop(work.resolve("disable")));
        TableReader execute = TableReader.open(spark, hadoop(work.resolve("execute")))) {
      Iterator<Row> floats = torch.rows();
      Iterator<Row> quantised = disable.rows();
      for (Iterator<Row> rows = execute.rows(); rows.hasNext(); ) {
        Row row = rows.next();
        Row exact = quantised.next();
        List<Long> chosen = row.getList(row.fieldIndex("next_token"));
        List<Long> chosenInClear = exact.getList(exact.fieldIndex("next_token"));
        Row reference = floats.next();
        List<Long> expected = reference.getList(reference.fieldIndex("next_token"));
        List<Float> state = row.getList(row.fieldIndex("state"));
        List<Float> stateInClear = exact.getList(exact.fieldIndex("state"));
        int length = row.getList(row.fieldIndex("input_ids")).size();
        for (int i = 0; i < length; i++) {
          tokens++;
          agreeing += chosen.get(i).equals(expected.get(i)) ? 1 : 0;
          differing += chosen.get(i).equals(chosenInClear.get(i)) ? 0 : 1;
        }
        for (int i = 0; i < length * WIDTH; i++) {
          int bits = Float.floatToIntBits(stateInClear.get(i));
          differing += bits == Float.floatToIntBits(state.get(i)) ? 0 : 1;
        }
      }
    }
    double agreement = (double) agreeing / tokens;
    System.out.printf(
        "next token equal to the float model's: %.4f of %d%n"
            + "values in which execute differs from disable: %d of %d%n",
        agreement, tokens, differing, tokens * (WIDTH + 1));
    return agreement >= LOWEST_AGREEMENT && differing == 0;
  }

  private void generate(HybridSession session, List<String> questions, int tokens)
      throws IOException {
    try (HuggingFaceTokenizer tokenizer =
        HuggingFaceTokenizer.newInstance(source.resolve("tokenizer.json"))) {
      long start = System.nanoTime();
      List<String> answers = new Generation(spark, session, tokenizer).answer(questions, tokens);
      System.out.printf(
          "%nup to %d tokens for each of %d prompts, encrypted, in %.1f s%n",
          tokens, questions.size(), (System.nanoTime() - start) / 1e9);
      for (int i = 0; i < questions.size(); i++) {
        System.out.printf("%n> %s%n%s%n", questions.get(i), answers.get(i).strip());
      }
    }
  }

  private static org.apache.hadoop.fs.Path hadoop(Path path) {
    return new org.apache.hadoop.fs.Path(path.toUri());
  }
}
