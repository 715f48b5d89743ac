package org.fhespark.jobs.blocks;

import java.util.Map;
import org.apache.spark.sql.SparkSession;

/**
 * Spark sessions that read and write tables of blocks. What Parquet does by itself is meant for
 * rows of some bytes; a block has megabytes.
 */
public final class BlockSettings {
  /** Bytes of a row group, so of the smallest piece of a file that a task of its own can read. */
  private static final int ROW_GROUP_BYTES = 32 << 20;

  private static final Map<String, String> SETTINGS =
      Map.of(
          "parquet.block.size", Integer.toString(ROW_GROUP_BYTES),
          // Row groups and pages end by size; it is not first looked at after a hundred rows.
          "parquet.page.size.row.check.min", "1",
          "parquet.page.size.row.check.max", "1",
          // Ciphertexts neither repeat nor compress.
          "parquet.enable.dictionary", "false",
          "spark.sql.parquet.compression.codec", "uncompressed",
          // Else a read that finds no direct memory waits for minutes, and says nothing of it.
          "parquet.hadoop.vectored.io.enabled", "false",
          // A batch of columns would hold a whole row group.
          "spark.sql.parquet.enableVectorizedReader", "false");

  private BlockSettings() {}

  /** A session beside this one, on the same context. */
  public static SparkSession sessionOf(SparkSession spark) {
    SparkSession session = spark.newSession();
    SETTINGS.forEach(session.conf()::set);
    return session;
  }
}
