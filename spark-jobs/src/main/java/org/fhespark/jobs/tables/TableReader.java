package org.fhespark.jobs.tables;

import java.io.IOException;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.internal.SessionState;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;

/**
 * Reads a table of clear records on the driver alone: no Spark job, no broadcast.
 *
 * <p>{@code spark.read()} would have executors read the records, which they must not see. This
 * class drives Spark's own Parquet, CSV and JSON parsers on the calling thread, so a table means
 * what it means to Spark, but for two things: CSV values that are not numbers stay text, and JSON
 * columns keep the order of their first appearance.
 *
 * <p>Records come file by file, the files sorted by name, in the order of each file; memory is
 * bounded by one batch of one file. CSV and JSON are read once more at opening, for the types. Not
 * safe for use by several threads.
 */
public final class TableReader implements AutoCloseable {
  private final TableFiles table;
  private final TableSource source;
  private final RowDecoder decoder;
  private Rows current;
  private boolean closed;

  private TableReader(TableFiles table, TableSource source) {
    this.table = table;
    this.source = source;
    this.decoder = new RowDecoder(source.schema());
  }

  /** Opens a table whose format the files' extensions tell. */
  public static TableReader open(SparkSession session, Path path) {
    return open(session, path, Optional.empty());
  }

  /**
   * Opens a file or a directory of files; names that begin with {@code _} or {@code .} are skipped.
   *
   * @param format the format of every file, or empty to go by extension
   * @throws InvalidInputException if the table is missing, holds no record, cannot be read, or its
   *     files differ in format or columns
   */
  public static TableReader open(SparkSession session, Path path, Optional<TableFormat> format) {
    SessionState state = ((org.apache.spark.sql.classic.SparkSession) session).sessionState();
    return open(state.conf(), state.newHadoopConf(), path, format);
  }

  private static TableReader open(
      SQLConf sqlConf, Configuration conf, Path path, Optional<TableFormat> format) {
    TableFiles table = TableFiles.list(conf, path, format);
    TableSource source =
        switch (table.format()) {
          case PARQUET -> new ParquetSource(table, sqlConf, conf);
          case CSV -> new CsvSource(table, sqlConf, conf);
          case JSON -> new JsonSource(table, sqlConf, conf);
        };
    if (source.rowCount() == 0) {
      throw new InvalidInputException(
          "table " + path + " is empty: give one with at least one record");
    }
    return new TableReader(table, source);
  }

  /** Columns of the table, all nullable. */
  public StructType schema() {
    return source.schema();
  }

  /** Number of records, from the Parquet footers or the pass that found the types. */
  public long rowCountHint() {
    return source.rowCount();
  }

  /** Format of the table's files. */
  public TableFormat format() {
    return table.format();
  }

  /** What error messages should call this table. */
  public String name() {
    return table.path().toString();
  }

  /**
   * The records from the first one on; an iterator that was handed out before ends here.
   *
   * <p>{@code next()} throws {@link InvalidInputException} where a file cannot be read on.
   *
   * @throws IllegalStateException if the reader is closed
   */
  public Iterator<Row> rows() {
    if (closed) {
      throw new IllegalStateException("the reader of table " + name() + " is closed");
    }
    endCurrent();
    current = new Rows();
    return current;
  }

  /** Closes the file being read. */
  @Override
  public void close() {
    closed = true;
    endCurrent();
  }

  private void endCurrent() {
    if (current != null) {
      current.end();
      current = null;
    }
  }

  private final class Rows implements Iterator<Row> {
    private int file = -1;
    private long record;
    private RecordCursor cursor;
    private Row ahead;
    private boolean ended;

    @Override
    public boolean hasNext() {
      while (ahead == null && !ended) {
        advance();
      }
      return ahead != null;
    }

    @Override
    public Row next() {
      if (!hasNext()) {
        throw new NoSuchElementException("no record is left in table " + name());
      }
      Row row = ahead;
      ahead = null;
      return row;
    }

    private void advance() {
      try {
        if (cursor == null) {
          if (file + 1 == table.files().size()) {
            ended = true;
            return;
          }
          file++;
          record = 0;
          cursor = source.open(file);
        }
        InternalRow row = cursor.next();
        if (row == null) {
          cursor.close();
          cursor = null;
        } else {
          ahead = decoder.decode(row);
          record++;
        }
      } catch (InvalidInputException e) {
        end();
        throw e;
      } catch (Exception | StackOverflowError e) {
        // Parquet's page headers are parsed by recursion, which damage can drive to any depth.
        end();
        throw new InvalidInputException(
            "file "
                + table.files().get(file).getPath()
                + " cannot be read after record "
                + record
                + ": "
                + CauseLine.of(e)
                + "; write it again",
            e);
      }
    }

    private void end() {
      ended = true;
      ahead = null;
      if (cursor != null) {
        try {
          cursor.close();
        } catch (IOException e) {
          // A file that was only read has nothing to lose; what was read of it stands.
        }
        cursor = null;
      }
    }
  }
}
