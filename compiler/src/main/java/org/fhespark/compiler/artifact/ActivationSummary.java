package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonFormat;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import java.util.List;

/**
 * What calibration keeps of the rows that a remote call reads: counts and norms, no row and no
 * element of one but the largest magnitude of all.
 *
 * @param tensor the tensor that the rows come from
 * @param unfolding how windows of it become rows; null if a row is its last axis
 * @param width elements of a row, d_in
 * @param skipsPadding whether rows of padding were left out
 * @param rows how many there were
 * @param nonZeroRows how many of those looked at are not all zero
 * @param maxAbs the largest magnitude of all elements
 * @param norms how the norms of the rows spread; together they count nonZeroRows
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record ActivationSummary(
    String tensor,
    Unfolding unfolding,
    int width,
    boolean skipsPadding,
    long rows,
    long nonZeroRows,
    float maxAbs,
    List<NormBin> norms) {
  /** Bins of a factor of two. */
  public static final int BINS_PER_OCTAVE = 16;

  /** float32 holds no other exponents; the least value is 2^-149. */
  private static final int LARGEST_EXPONENT = 149;

  public ActivationSummary {
    norms = List.copyOf(norms);
    require(tensor != null && width >= 1, "tensor and width");
    require(unfolding == null || unfolding.rowValues() == width, "width of a window");
    require(rows >= 0 && nonZeroRows >= 0, "numbers of rows");
    require(maxAbs >= 0 && maxAbs <= Float.MAX_VALUE, "largest magnitude");
    long counted = 0;
    for (NormBin bin : norms) {
      counted = Math.addExact(counted, bin.rows());
    }
    require(counted == nonZeroRows && (counted == 0 || maxAbs > 0), "counts of bins");
  }

  private static void require(boolean holds, String what) {
    if (!holds) {
      throw new IllegalArgumentException(what + " cannot be so");
    }
  }

  /**
   * Rows whose three norms are alike: a joint histogram's bin. Bin i of a quantity covers
   * (2^((i-1)/16), 2^(i/16)].
   *
   * @param max bin of the largest magnitude
   * @param l2 bin of the Euclidean norm over the largest magnitude
   * @param l1 bin of the sum of magnitudes over the largest magnitude
   * @param rows how many
   */
  @JsonFormat(shape = JsonFormat.Shape.ARRAY)
  @JsonPropertyOrder({"max", "l2", "l1", "rows"})
  public record NormBin(int max, int l2, int l1, long rows) {
    public NormBin {
      require(Math.abs(max) <= LARGEST_EXPONENT * BINS_PER_OCTAVE, "bin of a magnitude");
      require(l2 >= 0 && l2 <= l1 && l1 <= 32 * BINS_PER_OCTAVE, "bins of norms");
      require(rows >= 1, "rows of a bin");
    }

    /**
     * The bin of a row that is not all zero.
     *
     * @param max its largest magnitude
     * @param l2 its Euclidean norm
     * @param l1 the sum of its magnitudes
     */
    public static NormBin of(double max, double l2, double l1, long rows) {
      int l2Bin = Math.max(0, bin(l2 / max));
      return new NormBin(bin(max), l2Bin, Math.max(l2Bin, bin(l1 / max)), rows);
    }

    private static int bin(double value) {
      // What rounding adds to an exact power of two is no reason for the next bin.
      return (int) Math.ceil(BINS_PER_OCTAVE * Math.log(value) / Math.log(2) - 1e-6);
    }

    /** The upper end of a bin. */
    public static double upperEnd(int bin) {
      return Math.pow(2, (double) bin / BINS_PER_OCTAVE);
    }
  }
}
