package org.fhespark.jobs.tables;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.UUID;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.FileFormat;
import org.apache.spark.sql.execution.datasources.OutputWriter;
import org.apache.spark.sql.types.StructField;
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
public final class TableWriter implements AutoCloseable {
  /** Rows of a part file where the caller names no number. */
  public static final long DEFAULT_ROWS_PER_FILE = 1_000_000;

  private final FileSystem fs;
  private final Path out;
  private final Path temporary;
  private final List<Path> madeAbove;
  private final boolean overwrite;
  private final long rowsPerFile;
  private final StructType fileSchema;
  private final ArrayText arrayText;
  private final RowEncoder encoder;
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
    this.fs = out.getFileSystem(PartFormat.hadoopConf(session));
    // As text, because a path made of a URI keeps a slash at its end, and with it no name.
    this.out = fs.makeQualified(new Path(out.toString()));
    this.overwrite = overwrite;
    this.rowsPerFile = rowsPerFile;
    this.arrayText = format == TableFormat.CSV ? new ArrayText(schema) : null;
    this.fileSchema = format == TableFormat.CSV ? ArrayText.schema(schema) : schema;
    this.encoder = new RowEncoder(fileSchema);
    requireTypes(format);
    requireFree();
    this.partFormat = new PartFormat(session, fileSchema, format);
    this.temporary = beside(".tmp-");
    this.madeAbove = missingAbove();
    try {
      if (!fs.mkdirs(temporary)) {
        throw new IOException("directory " + temporary + " could not be made");
      }
    } catch (IOException e) {
      deleteMadeAbove();
      throw e;
    }
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
      throw new InvalidInputException(
          "output "
              + out
              + " cannot be written: "
              + CauseLine.of(e)
              + "; choose a directory that you may write to",
          e);
    }
  }

  /**
   * Appends a row: as many values as the schema has columns, in its order.
   *
   * @throws InvalidInputException if the file system refuses, as a full one does
   */
  public void write(Row row) {
    requireOpen();
    InternalRow encoded = encoder.encode(arrayText == null ? row : arrayText.row(row));
    writing(
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
  public void commit() {
    requireOpen();
    writing(
        () -> {
          if (part == null && parts == 0) {
            beginPart();
          }
          endPart();
          fs.create(new Path(temporary, "_SUCCESS"), true).close();
          requireFree();
          replace();
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
      writing(this::endPart);
    } catch (RuntimeException e) {
      // The part is deleted next, whole or not.
    } finally {
      try {
        fs.delete(temporary, true);
        deleteMadeAbove();
      } catch (IOException e) {
        throw new UncheckedIOException("temporary directory " + temporary + " is left over", e);
      }
    }
  }

  /** As {@link FileWriting}, without a result. */
  @FunctionalInterface
  private interface Writing {
    void run() throws IOException;
  }

  private void writing(Writing action) {
    FileWriting.explained(
        () -> {
          action.run();
          return null;
        },
        this::cannotWrite);
  }

  private InvalidInputException cannotWrite(Throwable refusal) {
    return new InvalidInputException(
        "output "
            + out
            + " cannot be written: "
            + CauseLine.of(refusal)
            + "; free some space or choose another",
        refusal);
  }

  /** Directories above the output that do not exist yet, the lowest first. */
  private List<Path> missingAbove() throws IOException {
    List<Path> missing = new ArrayList<>();
    for (Path above = out.getParent();
        above != null && !fs.exists(above);
        above = above.getParent()) {
      missing.add(above);
    }
    return missing;
  }

  private void deleteMadeAbove() throws IOException {
    for (Path above : madeAbove) {
      if (!fs.exists(above)) {
        continue;
      }
      if (fs.listStatus(above).length > 0) {
        // Someone else has put something there meanwhile.
        return;
      }
      fs.delete(above, false);
    }
  }

  private void beginPart() {
    String name = String.format(Locale.ROOT, "part-%05d", parts);
    Path path = new Path(temporary, name + partFormat.ending());
    part = partFormat.begin(path);
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

  private void replace() throws IOException {
    if (!fs.exists(out)) {
      rename(temporary, out);
      return;
    }
    Path old = beside(".old-");
    rename(out, old);
    try {
      rename(temporary, out);
    } catch (IOException e) {
      rename(old, out);
      throw e;
    }
    fs.delete(old, true);
  }

  private Path beside(String mark) {
    return out.suffix(mark + UUID.randomUUID().toString().substring(0, 8));
  }

  private void rename(Path from, Path to) throws IOException {
    if (!fs.rename(from, to)) {
      throw new IOException("renaming " + from + " to " + to + " was refused");
    }
  }

  private void requireFree() throws IOException {
    if (!fs.exists(out)) {
      return;
    }
    if (fs.getFileStatus(out).isFile()) {
      throw new InvalidInputException(
          "output " + out + " is a file: choose another path for the directory of results");
    }
    FileStatus[] inside = fs.listStatus(out);
    if (inside.length > 0 && !overwrite) {
      throw new InvalidInputException(
          "output " + out + " exists and is not empty: choose another path or pass --overwrite");
    }
    for (FileStatus status : inside) {
      String name = status.getPath().getName();
      // Replacing deletes: a wrong path must not cost anything but a table.
      boolean ofTable = name.startsWith("part-") || name.startsWith("_") || name.startsWith(".");
      if (!ofTable || status.isDirectory()) {
        throw new InvalidInputException(
            "output "
                + out
                + " holds '"
                + name
                + "', which is no part file of a table: it is not overwritten, choose another"
                + " path");
      }
    }
  }

  private void requireTypes(TableFormat format) {
    FileFormat fileFormat = PartFormat.fileFormat(format);
    for (StructField field : fileSchema.fields()) {
      if (!fileFormat.supportDataType(field.dataType())) {
        throw new InvalidInputException(
            "output "
                + out
                + ": column '"
                + field.name()
                + "' of type "
                + field.dataType().simpleString()
                + " cannot be written as "
                + format.name().toLowerCase(Locale.ROOT)
                + "; use another format or leave the column out");
      }
    }
  }

  private void requireOpen() {
    if (ended) {
      throw new IllegalStateException("the writer of output " + out + " is closed");
    }
  }
}
