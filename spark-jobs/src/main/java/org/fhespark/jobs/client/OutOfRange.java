package org.fhespark.jobs.client;

import java.util.Arrays;
import java.util.Locale;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;

/**
 * What becomes of a record that lies beyond the ball that a leveled circuit is made for. Encrypted
 * as it is, it would take all records of its block with it.
 */
enum OutOfRange {
  /**
   * It is drawn to the ball's surface; its result is that of another record, others keep theirs.
   */
  CLAMP,
  /** The run ends with an error that names it. */
  FAIL;

  /** The Spark setting that chooses. */
  static final String SETTING = "spark.fhe.outOfRange";

  /**
   * What a session's settings say, {@link #CLAMP} if nothing.
   *
   * @throws InvalidInputException if they say something else
   */
  static OutOfRange of(SparkSession spark) {
    return of(SessionSettings.of(spark));
  }

  /** The same of some settings. */
  static OutOfRange of(SparkConf conf) {
    String said = conf.get(SETTING, CLAMP.toString());
    return Arrays.stream(values())
        .filter(each -> each.toString().equals(said))
        .findFirst()
        .orElseThrow(
            () -> new InvalidInputException(SETTING + " is '" + said + "': give clamp or fail"));
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
