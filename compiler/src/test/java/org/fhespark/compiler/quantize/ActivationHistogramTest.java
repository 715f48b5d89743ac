package org.fhespark.compiler.quantize;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ActivationSummary;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.nativelib.WeightNorms;

class ActivationHistogramTest {
  private static final WeightNorms NORMS = new WeightNorms(3000, 250_000, 127);

  /** Rows of many sizes and shapes, some all zero. */
  private static float[] rows(Random random, int rows, int width) {
    float[] values = new float[rows * width];
    for (int r = 0; r < rows; r++) {
      double scale = random.nextInt(10) == 0 ? 0 : Math.exp(4 * random.nextGaussian());
      int dense = 1 + random.nextInt(width);
      for (int i = 0; i < dense; i++) {
        values[r * width + i] = (float) (scale * random.nextGaussian());
      }
    }
    return values;
  }

  private static ActivationSummary summary(float[] values, int width) {
    ActivationHistogram histogram = new ActivationHistogram("t");
    histogram.addRows(FloatBuffer.wrap(values), width);
    return histogram.summary(null, width, false);
  }

  @Property(tries = 100)
  void boundsAreNeverBelowThoseOfTheRowsAndAtMostABinAbove(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 40) int width,
      @ForAll @IntRange(min = 1, max = 300) int count,
      @ForAll @IntRange(min = 4, max = 16) int bits) {
    float[] values = rows(new Random(seed), count, width);
    ActivationStatistics exact = new ActivationStatistics();
    exact.add("t", FloatBuffer.wrap(values), width);
    ActivationStatistics binned = ActivationStatistics.of(summary(values, width));
    assertEquals(exact.records(), binned.records());
    assertEquals(exact.nonZeroRecords(), binned.nonZeroRecords());
    assertEquals(exact.maxAbs(), binned.maxAbs());
    assertEquals(exact.staticScale(bits), binned.staticScale(bits));
    for (double share : new double[] {0.5, 0.999, 1}) {
      for (QuantizationMode mode : QuantizationMode.values()) {
        double expected = exact.accumulatorBound(NORMS, bits, mode, share);
        double found = binned.accumulatorBound(NORMS, bits, mode, share);
        // Norms relative to the largest magnitude are binned, and for a common scale that is too.
        double bin = Math.pow(2, (mode == QuantizationMode.DYNAMIC ? 1.0 : 2.0) / 16);
        assertTrue(found >= expected * (1 - 1e-5), found + " below " + expected);
        // A static scale may turn a magnitude to the next integer.
        double slack = mode == QuantizationMode.STATIC ? NORMS.maxL1() : 0;
        assertTrue(found <= expected * bin * (1 + 1e-5) + slack, found + " above " + expected);
      }
    }
  }

  @Property(tries = 20)
  void theOrderOfRowsMakesNoDifference(@ForAll long seed) {
    int width = 8;
    float[] values = rows(new Random(seed), 50, width);
    float[] turned = new float[values.length];
    for (int r = 0; r < 50; r++) {
      System.arraycopy(values, r * width, turned, (49 - r) * width, width);
    }
    assertEquals(summary(values, width), summary(turned, width));
  }

  @Example
  void valuesThatAreNotFiniteAreRefusedAndLeaveNothing() {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      ActivationHistogram histogram = new ActivationHistogram("t");
      InvalidInputException error =
          assertThrows(
              InvalidInputException.class,
              () -> histogram.addRows(FloatBuffer.wrap(new float[] {1, 2, 3, bad}), 2));
      assertTrue(error.getMessage().contains("'t'"), error.getMessage());
      assertEquals(0, histogram.rows());
    }
  }

  @Example
  void extremesFitTheirBins() {
    float[] values = {Float.MAX_VALUE, Float.MAX_VALUE, Float.MIN_VALUE, 0, 0, 0};
    ActivationSummary summary = summary(values, 2);
    assertEquals(3, summary.rows());
    assertEquals(2, summary.nonZeroRows());
    assertTrue(
        Double.isFinite(
            ActivationStatistics.of(summary)
                .accumulatorBound(NORMS, 8, QuantizationMode.STATIC, 1)));
  }

  @Example
  void alteredFilesAreRefusedByName() throws Exception {
    Path folder = Files.createTempDirectory("fhe-spark-statistics-");
    Path file = folder.resolve("statistics.json");
    CalibrationStatistics statistics =
        new CalibrationStatistics(
            ArtifactJson.FORMAT_VERSION,
            "ab",
            null,
            6,
            List.of(summary(rows(new Random(5), 6, 4), 4)));
    org.apache.hadoop.fs.Path path = new org.apache.hadoop.fs.Path(file.toString());
    Configuration configuration = new Configuration();
    statistics.write(path, false, configuration);
    assertEquals(statistics, CalibrationStatistics.read(path, configuration));
    assertThrows(InvalidInputException.class, () -> statistics.write(path, false, configuration));
    statistics.write(path, true, configuration);
    String text = Files.readString(file);
    for (String[] change :
        new String[][] {
          {"\"maxAbs\" : [^,]*", "\"maxAbs\" : -1"},
          {"\"maxAbs\" : [^,]*", "\"maxAbs\" : \"NaN\""},
          {"\"rows\" : [^,]*", "\"rows\" : -6"},
          {"\"width\" : [^,]*", "\"width\" : 0"},
          {"\"nonZeroRows\" : [^,]*", "\"nonZeroRows\" : 1000000"},
          {"\"norms\"", "\"other\""},
          {"\"records\" : [^,]*", "\"records\" : 0"},
          {"\"formatVersion\" : [^,]*", "\"formatVersion\" : 99"},
          {"\\[ \\[ -?[0-9]+", "[ [ 100000"},
          {"\\]\\s*\\}\\s*\\]\\s*\\}\\s*$", ""},
        }) {
      String altered = text.replaceFirst(change[0], change[1]);
      assertTrue(!altered.equals(text), change[0]);
      Files.writeString(file, altered);
      String message =
          assertThrows(
                  InvalidInputException.class,
                  () -> CalibrationStatistics.read(path, configuration),
                  change[1])
              .getMessage();
      assertTrue(message.contains("statistics.json"), message);
      assertEquals(1, message.lines().count(), message);
    }
    Files.delete(file);
    Files.delete(folder);
  }
}
