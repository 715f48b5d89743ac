package org.fhespark.jobs.tables;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.LongConsumer;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.package$;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.OutputWriter;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.Sha256;

/**
 * Writes a table of results as {@link TableWriter} does, and a run that ended before the table was
 * whole leaves the parts that it had finished to the next run of the same work.
 *
 * <p>Part i holds the results of the i-th so many rows of the input. Until {@link #commit()} parts
 * are in a folder beside the output, named by what is done: {@code .OUT.unfinished-DIGEST}. There a
 * part's name holds SHA-256 of its input rows, so the next run takes it for those rows wherever
 * they are, and for no others. The same rows give the same files, byte for byte, in whichever run
 * each was written.
 *
 * <p>Each run works in a folder of its own inside that one, and begins by renaming those of other
 * runs into it. A run that another one does that to, because it was thought dead, cannot finish any
 * more part and fails; no file is ever written by two. Not safe for use by several threads.
 */
public final class ResumableTable implements RowSink, AutoCloseable {
  /** Changes whenever files of the same rows do. */
  private static final int VERSION = 1;

  /** Settings that files depend on, by how they begin. */
  private static final List<String> FILE_SETTINGS =
      List.of(
          "parquet.",
          "spark.sql.parquet.",
          "spark.sql.csv.",
          "spark.sql.json.",
          "spark.sql.legacy.");

  /** In the folder of a run that goes on. */
  private static final String RUN = "_run";

  /** In a folder that is about to be the table: names of its parts before that, in their order. */
  private static final String ORDER = "_order";

  /** What is to be the table. */
  private static final String TABLE = "table";

  /** A folder of another run, until what is in it has been moved. */
  private static final String CLAIMED = "_claimed";

  private final Path out;
  private final TablePlace place;
  private final FileSystem fs;
  private final int rowsPerPart;
  private final TableFormat format;
  private final PartFormat partFormat;

  /** Of the format's files. */
  private final String ending;

  private final FileRows inputRows;
  private final FileRows fileRows;
  private final RowsDigest readDigest;
  private final RowsDigest writtenDigest;

  /** Of this work, for all its runs. */
  private final Path folder;

  /** Of this run, inside. */
  private final Path runFolder;

  /** What earlier runs left and the input has not come to, by digest. */
  private final Map<String, Deque<FinishedPart>> left = new HashMap<>();

  /** How many parts there were of each digest. */
  private final Map<String, Integer> occurrences = new HashMap<>();

  /** Those of the table, by their number. */
  private final TreeMap<Integer, FinishedPart> parts = new TreeMap<>();

  private OutputWriter part;
  private int rowsInPart;

  /** Number of the part that was written last. */
  private int lastWritten = -1;

  private boolean ended;

  private ResumableTable(
      SparkSession session,
      Path out,
      StructType schema,
      int inputColumns,
      TableFormat format,
      boolean overwrite,
      int rowsPerPart,
      String work)
      throws IOException {
    this.out = out;
    this.place = new TablePlace(session, out, overwrite);
    this.fs = place.fs();
    this.rowsPerPart = rowsPerPart;
    this.format = format;
    StructType input = new StructType(Arrays.copyOf(schema.fields(), inputColumns));
    this.inputRows = new FileRows(input, format);
    this.fileRows = new FileRows(schema, format);
    place.requireTypes(format, fileRows.schema());
    this.readDigest = new RowsDigest(inputRows.schema());
    this.writtenDigest = new RowsDigest(inputRows.schema());
    this.partFormat = new PartFormat(session, fileRows.schema(), format);
    this.ending = partFormat.ending();
    this.folder = place.hiddenBeside(".unfinished-" + digest(session, work));
    this.runFolder = new Path(folder, UUID.randomUUID().toString());
    place.makeDirectory(runFolder);
    fs.create(new Path(runFolder, RUN), false).close();
    takeOver();
  }

  /**
   * Starts a table at {@code out}, or goes on with it.
   *
   * @param schema columns of the table: those of the input, then others
   * @param inputColumns how many of them are the input's
   * @param overwrite whether a table that is there is replaced, at {@link #commit()} and not before
   * @param rowsPerPart rows of every part but the last, at least 1
   * @param work says what is done with a row: runs that say the same may take over parts from one
   *     another
   * @throws InvalidInputException if {@code out} is taken, cannot be written, or the format cannot
   *     hold a column's type
   */
  public static ResumableTable open(
      SparkSession session,
      Path out,
      StructType schema,
      int inputColumns,
      TableFormat format,
      boolean overwrite,
      int rowsPerPart,
      String work) {
    if (rowsPerPart < 1) {
      throw new IllegalArgumentException("rowsPerPart must be at least 1, is " + rowsPerPart);
    }
    try {
      return new ResumableTable(
          session, out, schema, inputColumns, format, overwrite, rowsPerPart, work);
    } catch (IOException | FSError e) {
      throw TablePlace.cannotBegin(out, e);
    }
  }

  private String digest(SparkSession session, String work) {
    MessageDigest sha256 = Sha256.digest();
    List<String> said = new ArrayList<>();
    said.add(work);
    said.add(VERSION + " " + getClass().getPackage().getImplementationVersion());
    said.add(package$.MODULE$.SPARK_VERSION());
    said.add(fileRows.schema().json());
    said.add(inputRows.schema().length() + " " + rowsPerPart + " " + format);
    said.add(
        ((org.apache.spark.sql.classic.SparkSession) session)
            .sessionState()
            .conf()
            .sessionLocalTimeZone());
    Map<String, String> settings = new TreeMap<>();
    Configuration conf = partFormat.conf();
    for (Map.Entry<String, String> setting : conf) {
      if (FILE_SETTINGS.stream().anyMatch(setting.getKey()::startsWith)) {
        settings.put(setting.getKey(), setting.getValue());
      }
    }
    said.add(settings.toString());
    for (String each : said) {
      byte[] bytes = each.getBytes(StandardCharsets.UTF_8);
      sha256.update((bytes.length + ":").getBytes(StandardCharsets.UTF_8));
      sha256.update(bytes);
    }
    return HexFormat.of().formatHex(sha256.digest(), 0, 8);
  }

  /** Takes what other runs have finished. */
  private void takeOver() throws IOException {
    for (FileStatus run : fs.listStatus(folder)) {
      Path claimed = new Path(runFolder, CLAIMED);
      if (!run.getPath().getName().equals(runFolder.getName()) && claim(run.getPath(), claimed)) {
        gather(claimed);
      }
    }
    for (FileStatus file : fs.listStatus(runFolder)) {
      FinishedPart.in(file, ending)
          .ifPresent(
              found -> {
                left.computeIfAbsent(found.digest(), unused -> new ArrayDeque<>()).add(found);
                occurrences.merge(found.digest(), found.occurrence() + 1, Math::max);
              });
    }
  }

  /** False if another run has it by now. */
  private boolean claim(Path run, Path claimed) throws IOException {
    try {
      return fs.rename(run, claimed);
    } catch (FileNotFoundException e) {
      return false;
    }
  }

  /** Moves the finished parts of a run that ended, wherever it was, and deletes the rest of it. */
  private void gather(Path run) throws IOException {
    if (fs.exists(new Path(run, CLAIMED))) {
      gather(new Path(run, CLAIMED));
    }
    if (fs.exists(new Path(run, ORDER))) {
      List<String> order = readOrder(new Path(run, ORDER));
      for (int i = 0; i < order.size(); i++) {
        Path asPart = new Path(new Path(run, TABLE), partName(i));
        if (fs.exists(asPart)) {
          place.rename(asPart, new Path(run, order.get(i)));
        }
      }
    }
    for (FileStatus file : fs.listStatus(run)) {
      Path here = new Path(runFolder, file.getPath().getName());
      if (FinishedPart.in(file, ending).isPresent() && !fs.exists(here)) {
        place.rename(file.getPath(), here);
      }
    }
    fs.delete(run, true);
  }

  private List<String> readOrder(Path file) throws IOException {
    try (FSDataInputStream in = fs.open(file)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList();
    }
  }

  /**
   * The rows of the input that no earlier run has finished, to be scored and written in their
   * order. Where parts are left, so many rows of the input are held as a part has.
   *
   * @param rows of the input
   * @param takenOver is told of rows that need not be scored, when the input comes to them
   */
  @Override
  public Iterator<Row> unfinished(Iterator<Row> rows, LongConsumer takenOver) {
    return new Iterator<>() {
      private final Deque<Row> held = new ArrayDeque<>();
      private int next;

      @Override
      public boolean hasNext() {
        while (held.isEmpty() && !left.isEmpty() && rows.hasNext()) {
          readPart();
        }
        return !held.isEmpty() || rows.hasNext();
      }

      @Override
      public Row next() {
        if (!hasNext()) {
          throw new NoSuchElementException("all rows are read");
        }
        return held.isEmpty() ? rows.next() : held.remove();
      }

      private void readPart() {
        while (held.size() < rowsPerPart && rows.hasNext()) {
          Row row = rows.next();
          readDigest.add(inputRows.encode(row));
          held.add(row);
        }
        Optional<FinishedPart> found = takeLeft(readDigest.end());
        if (found.isPresent()) {
          parts.put(next, found.get());
          takenOver.accept(held.size());
          held.clear();
        }
        next++;
      }
    };
  }

  private Optional<FinishedPart> takeLeft(String digest) {
    Deque<FinishedPart> found = left.get(digest);
    if (found == null) {
      return Optional.empty();
    }
    FinishedPart taken = found.remove();
    if (found.isEmpty()) {
      left.remove(digest);
    }
    return Optional.of(taken);
  }

  /**
   * Appends a row: as many values as the schema has columns, in its order.
   *
   * @throws InvalidInputException if the file system refuses, or another run has taken over
   */
  @Override
  public void write(Row row) {
    requireOpen();
    InternalRow encoded = fileRows.encode(row);
    writing(
        () -> {
          if (part == null) {
            part = partFormat.begin(writtenFile());
          }
          part.write(encoded);
          writtenDigest.add(encoded);
          rowsInPart++;
          if (rowsInPart == rowsPerPart) {
            endPart();
          }
        });
  }

  /** Records whose results are in finished parts, of this run or an earlier one. */
  public long finishedRecords() {
    long written = parts.values().stream().mapToLong(FinishedPart::rows).sum();
    return left.values().stream().flatMap(Deque::stream).mapToLong(FinishedPart::rows).sum()
        + written;
  }

  /** Where finished parts are until the table is whole. */
  public Path folder() {
    return folder;
  }

  /**
   * Ends the table and renames it to its place, with {@code _SUCCESS}; a table without rows gets
   * one empty part file, which holds its schema.
   *
   * @throws InvalidInputException if the output has been taken since, another run has taken over,
   *     or the file system refuses; finished parts stay
   */
  @Override
  public void commit() {
    requireOpen();
    writing(
        () -> {
          if (part == null && parts.isEmpty()) {
            part = partFormat.begin(writtenFile());
          }
          endPart();
          requireOurs();
          if (parts.lastKey() + 1 != parts.size()) {
            throw new IllegalStateException(
                "rows that were read were not written: " + parts.keySet());
          }
          Path table = new Path(runFolder, TABLE);
          fs.mkdirs(table);
          List<String> order = parts.values().stream().map(each -> each.name(ending)).toList();
          writeOrder(order);
          for (int i = 0; i < order.size(); i++) {
            place.rename(new Path(runFolder, order.get(i)), new Path(table, partName(i)));
          }
          fs.create(new Path(table, "_SUCCESS"), true).close();
          place.put(table);
        });
    ended = true;
    try {
      deleteRun();
    } catch (IOException e) {
      throw new UncheckedIOException("folder " + folder + " is left over", e);
    }
  }

  private void writeOrder(List<String> order) throws IOException {
    Path written = new Path(runFolder, ORDER + ".tmp");
    try (FSDataOutputStream file = fs.create(written, true)) {
      file.write(String.join("\n", order).getBytes(StandardCharsets.UTF_8));
    }
    place.rename(written, new Path(runFolder, ORDER));
  }

  /**
   * Without a {@link #commit()} before, finished parts stay for the next run; if there is none, all
   * is as it was.
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
      if (part != null) {
        place.writing(part::close);
      }
    } catch (RuntimeException e) {
      // The part is deleted next, whole or not.
    }
    try {
      if (finishedRecords() > 0 && isOurs()) {
        fs.delete(writtenFile(), false);
        fs.delete(copiedFile(), false);
      } else {
        deleteRun();
        place.deleteMadeAbove();
      }
    } catch (IOException e) {
      throw new UncheckedIOException("folder " + folder + " is left over", e);
    }
  }

  /** Deletes the folder of this run, and the one above if no other run has one there. */
  private void deleteRun() throws IOException {
    fs.delete(runFolder, true);
    if (fs.exists(folder) && fs.listStatus(folder).length == 0) {
      fs.delete(folder, false);
    }
  }

  private String partName(int number) {
    return PartFormat.partName(number, ending);
  }

  private Path writtenFile() {
    return new Path(runFolder, "_part" + ending);
  }

  private Path copiedFile() {
    return new Path(runFolder, "_copy" + ending);
  }

  private void endPart() throws IOException {
    if (part == null) {
      return;
    }
    OutputWriter whole = part;
    part = null;
    whole.close();
    requireOurs();
    if (format == TableFormat.PARQUET) {
      ParquetFooter.order(place, writtenFile(), copiedFile());
    }
    String digest = writtenDigest.end();
    FinishedPart finished =
        new FinishedPart(
            digest,
            occurrences.merge(digest, 1, Integer::sum) - 1,
            rowsInPart,
            fs.getFileStatus(writtenFile()).getLen());
    place.rename(writtenFile(), new Path(runFolder, finished.name(ending)));
    // Reading is ahead of writing: it knows all parts before this one that are not to be written.
    do {
      lastWritten++;
    } while (parts.containsKey(lastWritten));
    parts.put(lastWritten, finished);
    rowsInPart = 0;
  }

  private void writing(TablePlace.Writing action) {
    try {
      place.writing(action);
    } catch (InvalidInputException refusal) {
      try {
        requireOurs();
      } catch (IOException e) {
        refusal.addSuppressed(e);
      }
      throw refusal;
    }
  }

  private boolean isOurs() throws IOException {
    return fs.exists(new Path(runFolder, RUN));
  }

  private void requireOurs() throws IOException {
    if (!isOurs()) {
      throw new InvalidInputException(
          "output "
              + out
              + ": another run of the same command has taken over what this one had finished; let"
              + " one run at a time write there");
    }
  }

  private void requireOpen() {
    if (ended) {
      throw new IllegalStateException("the writer of output " + out + " is closed");
    }
  }
}
