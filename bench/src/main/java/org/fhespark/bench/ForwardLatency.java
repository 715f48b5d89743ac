package org.fhespark.bench;

import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.Mode;
import org.fhespark.jobs.client.ModelTensor;
import org.fhespark.jobs.client.Preparation;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.SparkSettings;
import org.fhespark.jobs.client.TensorResults;
import org.fhespark.nativelib.ClientKey;

/**
 * How long {@link HybridSession#forward} takes for a few records of a whole model, with masks
 * prepared ahead and without, and in clear; each result is compared with mode disable bit for bit.
 */
public final class ForwardLatency {
  private static final int[] RECORDS = {1, 16, 64};
  private static final int CORES = 2;
  private static final int WARM_UPS = 100;
  private static final int RUNS = 100;

  private ForwardLatency() {}

  /**
   * One argument: the folder that {@code compile} wrote, of a model whose only input is a vector of
   * floats.
   */
  public static void main(String[] arguments) {
    Locale.setDefault(Locale.ROOT);
    SparkConf conf =
        SparkSettings.addTo(
            new SparkConf()
                .setMaster("local[" + CORES + "]")
                .setAppName("latency")
                .set("spark.ui.enabled", "false"));
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    HybridModel model =
        HybridModel.load(
            new Path(arguments[0], "client"),
            new Path(arguments[0], "server"),
            new Configuration());
    try (ClientKey key = model.newKey();
        HybridSession clear = model.session(spark, Mode.DISABLE);
        HybridSession encrypted = model.session(spark, Mode.EXECUTE, key)) {
      System.out.printf(
          "forward of a few records through %d remote modules, local[%d]: median and 95th"
              + " percentile of %d runs each, in ms%n%n",
          model.specs().remote().size(), CORES, RUNS);
      System.out.println(
          "| records | in clear | encrypted | masks ahead | kB down | masks ahead |");
      System.out.println("|---|---:|---:|---:|---:|---:|");
      for (int records : RECORDS) {
        row(model, clear, encrypted, records);
      }
    } finally {
      spark.stop();
    }
  }

  private static void row(
      HybridModel model, HybridSession clear, HybridSession encrypted, int records) {
    TensorSpec input = model.specs().inputs().get(0);
    String output = model.specs().outputs().get(0).name();
    ModelTensor tensor =
        ModelTensor.allocate(ElementType.FLOAT, records, input.elementsPerRecord());
    FloatBuffer values = tensor.data().asFloatBuffer();
    Random random = new Random(records);
    while (values.hasRemaining()) {
      values.put(random.nextInt(17));
    }
    List<Map<String, ModelTensor>> inputs = List.of(Map.of(input.name(), tensor));
    ModelTensor expected = clear.forward(inputs).outputs().get(0).get(output);

    Runs inClear = new Runs();
    Runs ordinary = new Runs();
    Runs ahead = new Runs();
    Preparation masks = null;
    for (int run = 0; run < WARM_UPS + RUNS; run++) {
      inClear.add(clear.forward(inputs), expected, output, 0);
      // Before there are masks, a run is an ordinary one.
      ordinary.add(encrypted.forward(inputs), expected, output, 0);
      masks = encrypted.prepare(records);
      ahead.add(
          encrypted.forward(inputs),
          expected,
          output,
          (long) records * model.specs().remote().size());
    }
    System.out.printf(
        "| %d | %s | %s | %s | %.0f | %.0f |%n",
        records,
        inClear.text(),
        ordinary.text(),
        ahead.text(),
        ordinary.last.bytesDown() / 1e3,
        ahead.last.bytesDown() / 1e3);
    System.err.printf(
        "%d records: the last preparation took %.1f ms, %.0f kB of memory%n",
        records, 1e3 * masks.report().seconds(), masks.heldBytes() / 1e3);
  }

  /** Times of runs of one kind. */
  private static final class Runs {
    private final double[] millis = new double[RUNS];
    private int count;
    private ScoreReport last;

    void add(TensorResults results, ModelTensor expected, String output, long preparedRows) {
      last = results.report();
      if (!results.outputs().get(0).get(output).data().equals(expected.data())
          || last.preparedRows() != preparedRows) {
        throw new IllegalStateException("other values or slots than expected: " + last);
      }
      if (count++ >= WARM_UPS) {
        millis[count - WARM_UPS - 1] = 1e3 * last.seconds();
      }
    }

    String text() {
      double[] sorted = millis.clone();
      Arrays.sort(sorted);
      return String.format("%.1f, %.1f", sorted[RUNS / 2], sorted[RUNS * 95 / 100]);
    }
  }
}
