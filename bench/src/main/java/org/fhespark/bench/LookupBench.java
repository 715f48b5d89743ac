package org.fhespark.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
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
 * The MLP 64-32-10 of examples/digits wholly encrypted, its ReLU by look-ups, through Spark on two
 * cores; and the same weights by Concrete ML on the same cores, one after the other.
 */
public final class LookupBench {
  private static final int CORES = 2;
  private static final int WARM_UP_IMAGES = 4;

  private final SparkSession spark;
  private final java.nio.file.Path work;
  private final DigitImages images;

  private LookupBench(SparkSession spark, java.nio.file.Path data, java.nio.file.Path work) {
    this.spark = spark;
    this.work = work;
    this.images = new DigitImages(spark, data, work);
  }

  /**
   * Arguments: examples/digits, a folder to work in, images, Concrete ML's records, and the command
   * that runs concrete_mlp.py, whose arguments follow; without it only our side is run.
   */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    Locale.setDefault(Locale.ROOT);
    SparkConf conf =
        SparkSettings.addTo(
            new SparkConf()
                .setMaster("local[" + CORES + "]")
                .setAppName("look-ups")
                .set("spark.ui.enabled", "false"));
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    Ours ours;
    java.nio.file.Path data = java.nio.file.Path.of(arguments[0]).toAbsolutePath();
    java.nio.file.Path work = java.nio.file.Path.of(arguments[1]).toAbsolutePath();
    try {
      ours = new LookupBench(spark, data, work).run(Integer.parseInt(arguments[2]));
    } finally {
      // Its cores and memory are the other side's next.
      spark.stop();
    }
    ours.print();
    if (arguments.length > 4) {
      List<String> command = new ArrayList<>(List.of(arguments).subList(4, arguments.length));
      command.addAll(List.of(data.resolve("mlp.onnx").toString(), arguments[3]));
      compare(ours, command);
    }
  }

  /** What our side took. */
  private record Ours(
      ScoreReport report, long keyBytes, double keygenSeconds, double accuracy, double sameClass) {
    double secondsARecord() {
      return report.seconds() / report.records();
    }

    long resultBytes() {
      return report.bytesDown() / report.records();
    }

    void print() {
      System.out.printf(
          "MLP 64-32-10 with ReLU, all of it encrypted, %d images, local[%d]:%n"
              + "  %.3f s a record; evaluation key %.1f MB in %.1f s; %d bytes a record up, %d down%n"
              + "  accuracy of these images %.4f; same class as quantised in clear %.4f%n",
          report.records(),
          CORES,
          secondsARecord(),
          keyBytes / 1e6,
          keygenSeconds,
          report.bytesUp() / report.records(),
          resultBytes(),
          accuracy,
          sameClass);
      target("evaluation key, MB", keyBytes / 1e6, keyBytes <= 200e6, "at most 200");
      target("result, kB a record", resultBytes() / 1e3, resultBytes() <= 20_000, "at most 20");
      target("same class as quantised", sameClass, sameClass >= 0.99, "at least 0.99");
    }
  }

  private static void target(String what, double value, boolean isReached, String aim) {
    System.out.printf(
        "  %-26s %8.2f  %s (%s)%n", what, value, isReached ? "reached" : "MISSED", aim);
  }

  private static void compare(Ours ours, List<String> command)
      throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    String last = "";
    for (String line : process.inputReader().lines().toList()) {
      last = line;
    }
    if (process.waitFor() != 0) {
      throw new IOException("Concrete ML failed: " + command);
    }
    JsonNode theirs = new ObjectMapper().readTree(last);
    double seconds = theirs.get("seconds_a_record").asDouble();
    System.out.printf(
        "Concrete ML %s, the same weights at 6 bits, %d records, the same cores:%n"
            + "  %.3f s a record; %d look-ups; keys %.0f MB in %.0f s; result %d bytes a record;"
            + " quantised accuracy, all images, %.4f%n",
        theirs.get("version").asText(),
        theirs.get("records").asInt(),
        seconds,
        theirs.get("lookups").asLong(),
        theirs.get("key_bytes").asDouble() / 1e6,
        theirs.get("keygen_seconds").asDouble(),
        theirs.get("result_bytes").asLong(),
        theirs.get("quantised_accuracy").asDouble());
    double ratio = seconds / ours.secondsARecord();
    target("x Concrete ML, a record", ratio, ratio >= 15, "at least 15");
  }

  private Ours run(int count) throws IOException {
    HybridModel model = images.compile("mlp.onnx", Engine.PBS);
    java.nio.file.Path keys = work.resolve("keys");
    try (ClientKey key = model.newKey()) {
      long start = System.nanoTime();
      model.evaluationKeys(key, keys, share -> {});
      double keygen = (System.nanoTime() - start) / 1e9;
      Path warmUp = images.testImages(WARM_UP_IMAGES);
      Path table = images.testImages(count);
      Path clear = new Path(work.resolve("disable").toString());
      Path encrypted = new Path(work.resolve("execute").toString());
      try (HybridSession session = model.session(spark, Mode.DISABLE)) {
        session.score(table, clear, true, ScoreProgress.SILENT);
      }
      try (HybridSession session = model.session(spark, Mode.EXECUTE, key, keys)) {
        // Executors expand the key at its first use.
        session.score(warmUp, encrypted, true, ScoreProgress.SILENT);
        ScoreReport report = session.score(table, encrypted, true, ScoreProgress.SILENT);
        List<Row> expected = images.read(clear);
        List<Row> found = images.read(encrypted);
        int right = 0;
        int same = 0;
        for (int i = 0; i < found.size(); i++) {
          right += DigitImages.topClass(found.get(i)) == found.get(i).<Long>getAs("label") ? 1 : 0;
          same +=
              DigitImages.topClass(found.get(i)) == DigitImages.topClass(expected.get(i)) ? 1 : 0;
        }
        double scored = found.size();
        long bytes = Files.size(keys.resolve("evaluation.key"));
        return new Ours(report, bytes, keygen, right / scored, same / scored);
      }
    }
  }
}
