package org.fhespark.jobs.client;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;

/**
 * Fails again and again while another wave is in a clear segment: the NaN is the first record of
 * the third wave, which is read while the second is evaluated. The argument is a compiled model.
 */
final class FailingRunsProgram {
  private static final int RUNS = 25;
  private static final int WAVE_BATCHES = 2;

  private FailingRunsProgram() {}

  public static void main(String[] arguments) {
    SparkSession spark = Digits.session();
    HybridModel model = Digits.load(Path.of(arguments[0]));
    int batch = model.specs().remote().get(0).parameters().maxRecords();
    List<Row> images = Digits.images(spark);
    List<Row> records = new ArrayList<>();
    for (int i = 0; i < 2 * WAVE_BATCHES * batch; i++) {
      records.add(images.get(i % Digits.IMAGES));
    }
    float[] nan = new float[64];
    nan[5] = Float.NaN;
    records.add(RowFactory.create(-1L, nan, 0L, "test"));
    Dataset<Row> table = spark.createDataFrame(records, Digits.schema());
    int refused = 0;
    for (int run = 0; run < RUNS; run++) {
      try (HybridSession session = model.session(spark, Mode.TORCH)) {
        session.forward(table);
      } catch (InvalidInputException error) {
        refused++;
      }
    }
    System.out.println("refused " + refused + " of " + RUNS);
    spark.stop();
  }
}
