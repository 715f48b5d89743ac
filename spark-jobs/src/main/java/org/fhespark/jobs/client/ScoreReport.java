package org.fhespark.jobs.client;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a run did and cost.
 *
 * @param mode its mode
 * @param records records of the result
 * @param takenOver those among them that an earlier run had scored before it ended; what follows is
 *     of the others
 * @param seconds wall time, from the first record read to the output committed
 * @param stepSeconds time of each step summed over threads; steps overlap, so they may exceed the
 *     wall time. {@link Step#EVALUATE} of mode EXECUTE is the wall time of Spark jobs
 * @param valuesUp activations encrypted
 * @param bytesUp bytes of encrypted activations
 * @param valuesDown accumulators decrypted
 * @param bytesDown bytes of encrypted results
 * @param preparedRows rows of remote modules that took slots of prepared masks, see {@link
 *     HybridSession#prepare}
 * @param clampedRows rows of leveled remote modules that lay beyond the range which their circuit
 *     is made for, and were drawn into it: their results are wrong
 * @param noiseMarginBits least margin of the linear remote modules beyond what p_error asks, in
 *     bits; NaN in modes without noise, and if no remote module is linear: others are not exact, so
 *     no margin tells how right their results are
 * @param lookedUp what modules with look-ups read, by module; in modes that evaluate them in clear
 */
public record ScoreReport(
    Mode mode,
    long records,
    long takenOver,
    double seconds,
    Map<Step, Double> stepSeconds,
    long valuesUp,
    long bytesUp,
    long valuesDown,
    long bytesDown,
    long preparedRows,
    long clampedRows,
    double noiseMarginBits,
    Map<String, LookedUp> lookedUp) {

  /**
   * Values that a module looked up.
   *
   * @param values their number
   * @param outside those outside the range that calibration saw, with its head room: they were read
   *     wrongly, as encrypted ones would be
   */
  public record LookedUp(long values, long outside) {}

  public ScoreReport {
    stepSeconds = Map.copyOf(stepSeconds);
    lookedUp = Collections.unmodifiableMap(new TreeMap<>(lookedUp));
  }

  /** Of those that were scored. */
  @JsonProperty
  public double recordsPerSecond() {
    return (records - takenOver) / seconds;
  }

  /** Bytes that travel for one encrypted activation; 0 if none did. */
  @JsonProperty
  public double bytesPerValueUp() {
    return valuesUp == 0 ? 0 : (double) bytesUp / valuesUp;
  }

  /** Bytes that travel for one encrypted result; 0 if none did. */
  @JsonProperty
  public double bytesPerValueDown() {
    return valuesDown == 0 ? 0 : (double) bytesDown / valuesDown;
  }
}
