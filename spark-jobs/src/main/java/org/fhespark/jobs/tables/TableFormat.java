package org.fhespark.jobs.tables;

import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import org.fhespark.InvalidInputException;

/** File formats of tables: a record is a Parquet row, a CSV line under a header, a JSON line. */
public enum TableFormat {
  /** Types as Spark has them. */
  PARQUET,
  /** UTF-8, with the same header line in each file; numbers and text alone. */
  CSV,
  /** UTF-8, an object a line. */
  JSON;

  private static final Set<String> COMPRESSIONS =
      Set.of("gz", "bz2", "deflate", "snappy", "lz4", "zst");

  /**
   * The format called {@code name}, in any case.
   *
   * @throws InvalidInputException if there is none of that name
   */
  public static TableFormat of(String name) {
    for (TableFormat format : values()) {
      if (format.name().equalsIgnoreCase(name)) {
        return format;
      }
    }
    throw new InvalidInputException(
        "table format '" + name + "' is unknown: use parquet, csv or json");
  }

  /** The format that a file's extension tells, an extension of a compression left aside. */
  public static Optional<TableFormat> ofFileName(String fileName) {
    String stem = fileName.toLowerCase(Locale.ROOT);
    String extension = extensionOf(stem);
    if (COMPRESSIONS.contains(extension)) {
      stem = stem.substring(0, stem.length() - extension.length() - 1);
      extension = extensionOf(stem);
    }
    return switch (extension) {
      case "parquet" -> Optional.of(PARQUET);
      case "csv" -> Optional.of(CSV);
      case "json", "jsonl", "ndjson" -> Optional.of(JSON);
      default -> Optional.empty();
    };
  }

  private static String extensionOf(String fileName) {
    return fileName.substring(fileName.lastIndexOf('.') + 1);
  }
}
