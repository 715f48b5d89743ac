package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.apache.spark.sql.Row;

/** The results of scored images. */
public final class Logits {
  private Logits() {}

  /** The logits of a scored record. */
  public static float[] of(Row row) {
    List<Float> values = row.getList(row.fieldIndex("logits"));
    assertEquals(Digits.CLASSES, values.size());
    float[] logits = new float[values.size()];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = values.get(i);
    }
    return logits;
  }

  /** Values that are not the same bit for bit. */
  public static int differing(List<Row> expected, List<Row> actual) {
    assertEquals(expected.size(), actual.size(), "rows");
    int differing = 0;
    for (int record = 0; record < expected.size(); record++) {
      differing += differing(of(expected.get(record)), of(actual.get(record)));
    }
    return differing;
  }

  static int differing(float[] expected, float[] actual) {
    int differing = 0;
    for (int i = 0; i < expected.length; i++) {
      differing +=
          Float.floatToRawIntBits(expected[i]) == Float.floatToRawIntBits(actual[i]) ? 0 : 1;
    }
    return differing;
  }

  /** The largest difference of a logit, relative to the largest logit of all that are expected. */
  public static double largestError(List<Row> expected, List<Row> actual) {
    double range = 0;
    for (Row row : expected) {
      for (float logit : of(row)) {
        range = Math.max(range, Math.abs(logit));
      }
    }
    double largest = 0;
    for (int record = 0; record < actual.size(); record++) {
      float[] wanted = of(expected.get(record));
      float[] found = of(actual.get(record));
      for (int i = 0; i < wanted.length; i++) {
        largest = Math.max(largest, Math.abs(wanted[i] - found[i]));
      }
    }
    return largest / range;
  }

  /** Share of the test images whose largest logit is that of their label. */
  static double testAccuracy(List<Row> scored) {
    int right = 0;
    int all = 0;
    for (Row row : scored) {
      if (row.<String>getAs("split").equals("test")) {
        all++;
        right += argmax(of(row)) == row.<Long>getAs("label") ? 1 : 0;
      }
    }
    assertEquals(450, all, "test images");
    return (double) right / all;
  }

  /** Share of the images whose largest logit is that of their label. */
  public static double accuracy(List<Row> scored) {
    int right = 0;
    for (Row row : scored) {
      right += argmax(of(row)) == row.<Long>getAs("label") ? 1 : 0;
    }
    return (double) right / scored.size();
  }

  private static int argmax(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }
}
