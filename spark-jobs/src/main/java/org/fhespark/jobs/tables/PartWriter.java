package org.fhespark.jobs.tables;

import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.execution.datasources.OutputWriter;
import org.fhespark.InvalidInputException;

/** Writes one part file of a table, where there need be no Spark session. */
public final class PartWriter implements AutoCloseable {
  private final Path file;
  private final RowEncoder encoder;
  private final OutputWriter writer;
  private boolean isClosed;

  /**
   * Begins the file.
   *
   * @param folder of the table
   * @throws InvalidInputException if the file system refuses
   */
  public PartWriter(PartFormat format, Path folder) {
    this.file = new Path(folder, "part-00000" + format.ending());
    this.encoder = new RowEncoder(format.schema());
    this.writer = writing(() -> format.begin(file));
  }

  /** Appends a row: as many values as the schema has columns, in its order. */
  public void write(Row row) {
    writing(
        () -> {
          writer.write(encoder.encode(row));
          return null;
        });
  }

  /** Ends the file, for which its part of the table is whole. */
  @Override
  public void close() {
    if (!isClosed) {
      isClosed = true;
      writing(
          () -> {
            writer.close();
            return null;
          });
    }
  }

  private <T> T writing(FileWriting<T> action) {
    return FileWriting.explained(
        action,
        error ->
            new InvalidInputException(
                file + " cannot be written: " + CauseLine.of(error) + "; choose a folder with room",
                error));
  }
}
