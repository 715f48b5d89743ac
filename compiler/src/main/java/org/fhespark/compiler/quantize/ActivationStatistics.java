package org.fhespark.compiler.quantize;

import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ActivationSummary;
import org.fhespark.compiler.artifact.ActivationSummary.NormBin;
import org.fhespark.nativelib.WeightNorms;

/**
 * What calibration learns about the activations that enter a remote module: the largest magnitude,
 * and the norms of a sample of records, from which the size of accumulators follows.
 */
public final class ActivationStatistics {
  /** Enough for a 99.9 percentile that rests on 65 records. */
  private static final int SAMPLE_SIZE = 1 << 16;

  private final SplittableRandom random = new SplittableRandom(1);
  private float[] maxNorms = new float[1024];
  private float[] l2Norms = new float[1024];
  private float[] l1Norms = new float[1024];
  private int sampled;

  /** How many records each of the sample stands for; null if one. */
  private long[] weights;

  private double rows;
  private long nonZeroRecords;
  private float maxAbs;
  private int dIn;

  /**
   * What a summary tells. Norms are the upper ends of their bins, so that no bound on accumulators
   * is too small; those relative to the largest magnitude are at most 4.5 % larger than they were.
   */
  public static ActivationStatistics of(ActivationSummary summary) {
    ActivationStatistics statistics = new ActivationStatistics();
    int bins = summary.norms().size();
    statistics.maxNorms = new float[bins];
    statistics.l2Norms = new float[bins];
    statistics.l1Norms = new float[bins];
    statistics.weights = new long[bins];
    for (int i = 0; i < bins; i++) {
      NormBin bin = summary.norms().get(i);
      double max = Math.min(summary.maxAbs(), NormBin.upperEnd(bin.max()));
      statistics.maxNorms[i] = (float) max;
      statistics.l2Norms[i] = (float) (max * NormBin.upperEnd(bin.l2()));
      statistics.l1Norms[i] = (float) (max * NormBin.upperEnd(bin.l1()));
      statistics.weights[i] = bin.rows();
    }
    statistics.sampled = bins;
    statistics.rows = summary.rows();
    statistics.nonZeroRecords = summary.nonZeroRows();
    statistics.maxAbs = summary.maxAbs();
    statistics.dIn = summary.width();
    return statistics;
  }

  private long weight(int place) {
    return weights == null ? 1 : weights[place];
  }

  /** How many records each of {@link #estimatedErrors} stands for. */
  public long[] sampleWeights() {
    long[] all = new long[sampled];
    Arrays.setAll(all, this::weight);
    return all;
  }

  /**
   * Adds rows.
   *
   * @param tensor the activation's name, for messages
   * @param values {@code [rows][dIn]}, row-major
   * @throws InvalidInputException if a value is infinite or not a number
   */
  public void add(String tensor, FloatBuffer values, int dIn) {
    float[] row = new float[dIn];
    while (values.remaining() >= dIn) {
      values.get(row);
      add(tensor, row, 1);
    }
  }

  /**
   * Adds a row.
   *
   * @param tensor the activation's name, for messages
   * @param standsFor how many rows were seen for each one added
   * @throws InvalidInputException if a value is infinite or not a number
   */
  public void add(String tensor, float[] row, double standsFor) {
    this.dIn = row.length;
    float max = 0;
    double l2Squared = 0;
    double l1 = 0;
    for (float value : row) {
      float magnitude = magnitude(tensor, value);
      max = Math.max(max, magnitude);
      l2Squared += (double) magnitude * magnitude;
      l1 += magnitude;
    }
    rows += standsFor;
    maxAbs = Math.max(maxAbs, max);
    if (max > 0) {
      sample(max, (float) Math.sqrt(l2Squared), (float) l1);
    }
  }

  /**
   * Makes the largest magnitude cover values, whatever rows they end up in.
   *
   * @throws InvalidInputException if a value is infinite or not a number
   */
  public void addMagnitudes(String tensor, FloatBuffer values) {
    while (values.hasRemaining()) {
      maxAbs = Math.max(maxAbs, magnitude(tensor, values.get()));
    }
  }

  private static float magnitude(String tensor, float value) {
    float magnitude = Math.abs(value);
    if (!(magnitude <= Float.MAX_VALUE)) {
      throw new InvalidInputException(
          "calibration: tensor '"
              + tensor
              + "' holds "
              + value
              + "; remove the records that cause it from the calibration data");
    }
    return magnitude;
  }

  private void sample(float max, float l2, float l1) {
    long place = nonZeroRecords++;
    if (place >= SAMPLE_SIZE) {
      place = random.nextLong(nonZeroRecords);
      if (place >= SAMPLE_SIZE) {
        return;
      }
    } else {
      sampled++;
      if (sampled > maxNorms.length) {
        maxNorms = Arrays.copyOf(maxNorms, 2 * maxNorms.length);
        l2Norms = Arrays.copyOf(l2Norms, 2 * l2Norms.length);
        l1Norms = Arrays.copyOf(l1Norms, 2 * l1Norms.length);
      }
    }
    maxNorms[(int) place] = max;
    l2Norms[(int) place] = l2;
    l1Norms[(int) place] = l1;
  }

  /** Rows seen: records, or their tokens or windows. */
  public long records() {
    return Math.round(rows);
  }

  /** Records seen that are not all zero. */
  public long nonZeroRecords() {
    return nonZeroRecords;
  }

  /** Largest magnitude seen. */
  public float maxAbs() {
    return maxAbs;
  }

  /**
   * How the largest magnitudes of the sampled records spread.
   *
   * @param bins at least 1
   * @return counts of records per bin, {@code bins} of equal width that cover (0, {@link #maxAbs}];
   *     records that are all zero do not count
   */
  public long[] maxNormHistogram(int bins) {
    long[] counts = new long[bins];
    for (int r = 0; r < sampled; r++) {
      counts[(int) Math.min(bins - 1L, (long) ((double) maxNorms[r] / maxAbs * bins))] += weight(r);
    }
    return counts;
  }

  /**
   * An estimate of what rounding activations to integers loses, for each sampled record: the RMS
   * error relative to the record's own RMS. Rounding counts as noise of variance scale²/12 a
   * feature, which is too much where features are 0 and stay 0; coarser scales of records that
   * exceed p bits are not taken into account.
   */
  public double[] estimatedErrors(int activationBits, QuantizationMode mode) {
    double[] errors = new double[sampled];
    for (int r = 0; r < sampled; r++) {
      double scale =
          mode == QuantizationMode.DYNAMIC
              ? maxNorms[r] / (double) largestInteger(activationBits)
              : staticScale(activationBits);
      errors[r] = scale * Math.sqrt(dIn / 12.0) / l2Norms[r];
    }
    return errors;
  }

  /**
   * The scale that static quantisation gives every record, max|x| / (2^(a-1)-1); 1 if all is zero.
   */
  public float staticScale(int activationBits) {
    return staticScale(maxAbs, activationBits);
  }

  /** The same of a largest magnitude. */
  public static float staticScale(float maxAbs, int activationBits) {
    float scale = maxAbs / largestInteger(activationBits);
    return scale < Float.MIN_NORMAL ? 1f : scale;
  }

  /**
   * A quantile over records of the bound on their accumulators, the least of the three that {@link
   * WeightNorms} gives. Rounding is taken into account as noise of variance 1/12 a feature. Records
   * that are all zero do not count; without any other it is the least bound that a record can have.
   *
   * @param norms each at least 1
   * @param quantile in (0, 1]
   */
  public double accumulatorBound(
      WeightNorms norms, int activationBits, QuantizationMode mode, double quantile) {
    double largest = largestInteger(activationBits);
    if (sampled == 0) {
      return largest;
    }
    double maxL2 = Math.sqrt(norms.maxL2Squared());
    double[] bounds = new double[sampled];
    for (int r = 0; r < sampled; r++) {
      double perUnit = largest / (mode == QuantizationMode.DYNAMIC ? maxNorms[r] : maxAbs);
      double l2 = Math.sqrt(Math.pow(l2Norms[r] * perUnit, 2) + dIn / 12.0);
      double l1 = l1Norms[r] * perUnit + Math.sqrt(dIn / 12.0);
      bounds[r] =
          Math.min(
              Math.ceil(maxNorms[r] * perUnit) * norms.maxL1(),
              Math.min(l2 * maxL2, l1 * norms.maxAbs()));
    }
    return quantile(bounds, quantile);
  }

  /** The least value that so large a share of the records does not exceed. */
  private double quantile(double[] values, double share) {
    Integer[] order = new Integer[sampled];
    Arrays.setAll(order, place -> place);
    Arrays.sort(order, Comparator.comparingDouble(place -> values[place]));
    long all = LongStream.range(0, sampled).map(place -> weight((int) place)).sum();
    long wanted = (long) Math.ceil(share * all);
    long counted = 0;
    for (int place : order) {
      counted += weight(place);
      if (counted >= wanted) {
        return values[place];
      }
    }
    return values[order[sampled - 1]];
  }

  /** 2^(a-1)-1. */
  static int largestInteger(int activationBits) {
    return (1 << (activationBits - 1)) - 1;
  }
}
