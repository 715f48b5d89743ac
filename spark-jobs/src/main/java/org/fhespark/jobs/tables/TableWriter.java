package org.fhespark.jobs.tables;

import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.OutputWriter;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;

/**
 * Writes a table of clear results on the driver alone: no Spark job, no broadcast.
 *
 * <p>{@code df.write()} would send the results through executors, which must not see them. This
 * class drives the writers of Spark's own Parquet, CSV and JSON formats on the calling thread.
 *
 * <p>Part files go to a temporary directory beside the output; {@link #commit()} renames it, so the
 * output is complete or absent, and so are the directories above it. CSV has no arrays: arrays of
 * numbers are written to it as JSON text. Not safe for use by several threads.
 */
public final class TableWriter implements RowSink, AutoCloseable {
  /** Rows of a part file where the caller names no number. */
  public static final long DEFAULT_ROWS_PER_FILE = 1_000_000;

  private final Path out;
  private final TablePlace place;
  private final Path temporary;
  private final long rowsPerFile;
  private final FileRows fileRows;
  private final PartFormat partFormat;
  private OutputWriter part;
  private int parts;
  private long rowsInPart;
  private long rows;
  private boolean ended;

  private TableWriter(
      SparkSession session,
      Path out,
      StructType schema,
      TableFormat format,
      boolean overwrite,
      long rowsPerFile)
      throws IOException {
    this.out = out;
    this.place = new TablePlace(session, out, overwrite);
    this.rowsPerFile = rowsPerFile;
    this.fileRows = new FileRows(schema, format);
    place.requireTypes(format, fileRows.schema());
    this.partFormat = new PartFormat(session, fileRows.schema(), format);
    this.temporary = place.beside(".tmp-");
    place.makeDirectory(temporary);
  }

  /**
   * Starts a table at {@code out}, in parts of {@link #DEFAULT_ROWS_PER_FILE} rows.
   *
   * @see #create(SparkSession, Path, StructType, TableFormat, boolean, long)
   */
  public static TableWriter create(
      SparkSession session, Path out, StructType schema, TableFormat format, boolean overwrite) {
    return create(session, out, schema, format, overwrite, DEFAULT_ROWS_PER_FILE);
  }

  /**
   * Starts a table at {@code out}.
   *
   * @param overwrite whether a table that is there is replaced, at {@link #commit()} and not before
   * @param rowsPerFile rows after which a new part file begins, at least 1
   * @throws InvalidInputException if {@code out} is taken, cannot be written, or the format cannot
   *     hold a column's type
   */
  public static TableWriter create(
      SparkSession session,
      Path out,
      StructType schema,
      TableFormat format,
      boolean overwrite,
      long rowsPerFile) {
    if (rowsPerFile < 1) {
      throw new IllegalArgumentException("rowsPerFile must be at least 1, is " + rowsPerFile);
    }
    try {
      return new TableWriter(session, out, schema, format, overwrite, rowsPerFile);
    } catch (IOException | FSError e) {
      throw TablePlace.cannotBegin(out, e);
    }
  }

  /**
   * Appends a row: as many values as the schema has columns, in its order.
   *
   * @throws InvalidInputException if the file system refuses, as a full one does
   */
  @Override
  public void write(Row row) {
    requireOpen();
    InternalRow encoded = fileRows.encode(row);
    place.writing(
        () -> {
          if (part != null && rowsInPart == rowsPerFile) {
            endPart();
          }
          if (part == null) {
            beginPart();
          }
          part.write(encoded);
        });
    rowsInPart++;
    rows++;
  }

  /** Rows written so far. */
  public long rowCount() {
    return rows;
  }

  /**
   * Ends the table and renames it to its place, with {@code _SUCCESS}; a table without rows gets
   * one empty part file, which holds its schema.
   *
   * @throws InvalidInputException if the output has been taken since the writer was made, or the
   *     file system refuses; {@link #close()} then cleans up
   */
  @Override
  public void commit() {
    requireOpen();
    place.writing(
        () -> {
          if (part == null && parts == 0) {
            beginPart();
          }
          endPart();
          place.fs().create(new Path(temporary, "_SUCCESS"), true).close();
          place.put(temporary);
        });
    ended = true;
  }

  /**
   * Without a {@link #commit()} before, deletes what was written; the output is as it was.
   *
   * @throws UncheckedIOException if something of it cannot be deleted
   */
  @Override
  public void close() {
    if (ended) {
      return;
    }
    ended = true;
    try {
      place.writing(this::endPart);
    } catch (RuntimeException e) {
      // The part is deleted next, whole or not.
    } finally {
      try {
        place.fs().delete(temporary, true);
        place.deleteMadeAbove();
      } catch (IOException e) {
        throw new UncheckedIOException("temporary directory " + temporary + " is left over", e);
      }
    }
  }

  private void beginPart() {
    part = partFormat.begin(new Path(temporary, PartFormat.partName(parts, partFormat.ending())));
    parts++;
    rowsInPart = 0;
  }

  private void endPart() {
    if (part != null) {
      OutputWriter ending = part;
      part = null;
      ending.close();
    }
  }

  private void requireOpen() {
    if (ended) {
      throw new IllegalStateException("the writer of output " + out + " is closed");
    }
  }
}
