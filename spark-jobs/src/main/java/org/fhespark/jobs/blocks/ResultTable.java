package org.fhespark.jobs.blocks;

import static org.apache.spark.sql.functions.col;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongConsumer;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.tables.CauseLine;
import org.fhespark.udf.BlockTable;
import org.fhespark.udf.FileReading;
import org.fhespark.udf.QuarantineTable;

/**
 * A table of results, in which the client looks for those of its blocks. Spark may read it: it is
 * all encrypted. Rows whose block is null, as outer joins make them, hold none. In memory is where
 * each block lies, and those that are asked for. Safe to share between threads.
 */
public final class ResultTable {
  private static final long POLL_MS = 500;

  private final SparkSession session;
  private final Path folder;

  /** The file of a block, by its number. */
  private final Map<Long, String> files = new ConcurrentHashMap<>();

  private final Set<Path> indexed = new HashSet<>();
  private volatile boolean isCancelled;

  private ResultTable(SparkSession session, Path folder) {
    this.session = session;
    this.folder = folder;
  }

  /**
   * Opens a table with the blocks that it has now.
   *
   * @throws InvalidInputException if there is none, it cannot be read or is no table of blocks, or
   *     a row has no number
   */
  public static ResultTable open(SparkSession spark, Path folder) {
    ResultTable table = openToCome(spark, folder);
    table.refresh();
    if (table.indexed.isEmpty()) {
      throw new InvalidInputException(
          "results " + folder + " holds no blocks: check the path, and that evaluate has ended");
    }
    return table;
  }

  /** Opens a table whose blocks may come later, for {@link #await} or {@link #refresh}. */
  public static ResultTable openToCome(SparkSession spark, Path folder) {
    return new ResultTable(BlockSettings.sessionOf(spark), folder);
  }

  /**
   * Looks for files that are new, and for the blocks in them; returns whether there are any.
   *
   * @throws InvalidInputException as {@link #open}, but if there is none
   */
  public synchronized boolean refresh() {
    List<Path> found = new ArrayList<>(BlockTableFiles.list(session, folder));
    found.removeAll(indexed);
    if (found.isEmpty()) {
      return false;
    }
    String[] paths = found.stream().map(Path::toString).toArray(String[]::new);
    for (Row row : reading(() -> rowsWithBlocks(paths))) {
      files.putIfAbsent(row.getLong(0), FileReading.pathOf(row.getString(1)));
    }
    indexed.addAll(found);
    return true;
  }

  /** The number, the file as a URI and the place in it of each row whose block is not null. */
  private List<Row> rowsWithBlocks(String[] paths) {
    Dataset<Row> table = session.read().parquet(paths);
    BlockTable.requireColumns(table.schema(), folder.toString());
    Dataset<Row> rows = table.select(QuarantineTable.places());
    // Indices in the files tell which they are: blocks are large, and none is read for it.
    Set<Row> empty = Set.copyOf(numbersAndPlaces(rows.where(col(BlockTable.BLOCK).isNull())));
    List<Row> all = numbersAndPlaces(rows);
    all.forEach(this::requireNumber);
    return all.stream().filter(row -> !empty.contains(row)).toList();
  }

  private static List<Row> numbersAndPlaces(Dataset<Row> rows) {
    return rows.select(BlockTable.NUMBER, QuarantineTable.FILE, QuarantineTable.ROW)
        .collectAsList();
  }

  private void requireNumber(Row row) {
    if (row.isNullAt(0)) {
      throw new InvalidInputException(
          "results "
              + folder
              + ": column '"
              + BlockTable.NUMBER
              + "' is NULL in file "
              + FileReading.pathOf(row.getString(1))
              + ", row "
              + row.get(2)
              + "; leave out rows without a number, which are of no block");
    }
  }

  /**
   * Waits until blocks are there.
   *
   * @param patience how long no new result at all may come
   * @throws InvalidInputException if that has passed, or the table cannot be read
   * @throws CancellationException after {@link #cancel}
   */
  public void await(Collection<Long> numbers, Duration patience) {
    long lastNews = System.nanoTime();
    int looked = 0;
    while (!files.keySet().containsAll(numbers)) {
      if (isCancelled) {
        throw new CancellationException("the exchange was cancelled");
      }
      if (refresh()) {
        lastNews = System.nanoTime();
        continue;
      }
      int quarantined = BlockTableFiles.list(session, BlockTableFiles.quarantine(folder)).size();
      if (quarantined > looked) {
        requireNotRefused(numbers);
        looked = quarantined;
      }
      if (System.nanoTime() - lastNews > patience.toNanos()) {
        throw new InvalidInputException(
            "results "
                + folder
                + ": nothing has come for "
                + patience.toSeconds()
                + " s; see that evaluate --stream is running and writes there, and exchange again"
                + " with the same state");
      }
      try {
        Thread.sleep(POLL_MS);
      } catch (InterruptedException error) {
        Thread.currentThread().interrupt();
        throw new CancellationException("the exchange was interrupted");
      }
    }
  }

  /** Of blocks that are in quarantine no result will come. */
  private void requireNotRefused(Collection<Long> numbers) {
    List<Long> missing = numbers.stream().filter(number -> !has(number)).toList();
    refused(missing).entrySet().stream()
        .min(Map.Entry.comparingByKey())
        .ifPresent(
            one -> {
              throw new InvalidInputException(
                  "results "
                      + folder
                      + ": block number "
                      + one.getKey()
                      + " could not be evaluated, "
                      + one.getValue()
                      + "; send it again, or decrypt with --lost null what the state holds");
            });
  }

  /** Ends every {@link #await}. */
  public void cancel() {
    isCancelled = true;
  }

  /**
   * Names those of some blocks that are not there.
   *
   * @param first number of the first
   * @param count of numbers that follow one another
   */
  public void forEachMissing(long first, long count, LongConsumer missing) {
    for (long number = first; number < first + count; number++) {
      if (!files.containsKey(number)) {
        missing.accept(number);
      }
    }
  }

  /**
   * Which of some blocks the evaluating side could not evaluate.
   *
   * @return where they were and why, by number
   */
  public Map<Long, String> refused(Collection<Long> numbers) {
    List<Path> found = BlockTableFiles.list(session, BlockTableFiles.quarantine(folder));
    if (found.isEmpty() || numbers.isEmpty()) {
      return Map.of();
    }
    String[] paths = found.stream().map(Path::toString).toArray(String[]::new);
    List<Row> rows =
        reading(
            () ->
                session
                    .read()
                    .parquet(paths)
                    .where(col(BlockTable.NUMBER).isInCollection(numbers))
                    .select(
                        BlockTable.NUMBER,
                        QuarantineTable.FILE,
                        QuarantineTable.ROW,
                        QuarantineTable.REASON)
                    .collectAsList());
    Map<Long, String> reasons = new HashMap<>();
    for (Row row : rows) {
      reasons.put(row.getLong(0), row.get(1) + ", row " + row.get(2) + ": " + row.get(3));
    }
    return reasons;
  }

  /** The file of a block that is there. */
  public String fileOf(long number) {
    return files.get(number);
  }

  /** Whether a block is there. */
  public boolean has(long number) {
    return files.containsKey(number);
  }

  /**
   * Reads blocks that are there.
   *
   * @return their bytes by number; without those that have {@link #gone} meanwhile
   * @throws InvalidInputException if a file cannot be read
   */
  public Map<Long, byte[]> read(Collection<Long> numbers) {
    if (numbers.isEmpty()) {
      return Map.of();
    }
    TreeSet<String> paths = new TreeSet<>();
    numbers.forEach(number -> paths.add(files.get(number)));
    List<Row> rows =
        reading(
            () ->
                session
                    .read()
                    .parquet(paths.toArray(String[]::new))
                    .where(col(BlockTable.NUMBER).isInCollection(numbers))
                    .where(col(BlockTable.BLOCK).isNotNull())
                    .select(col(BlockTable.NUMBER), col(BlockTable.BLOCK))
                    .collectAsList());
    Map<Long, byte[]> blocks = new HashMap<>();
    rows.forEach(row -> blocks.putIfAbsent(row.getLong(0), row.<byte[]>getAs(1)));
    return blocks;
  }

  /** What is wrong if a block was there, and {@link #read} has not found it. */
  public InvalidInputException gone(long number) {
    return new InvalidInputException(
        "results "
            + folder
            + ": block number "
            + number
            + " is no longer in file "
            + fileOf(number)
            + "; change nothing there while results are read, and decrypt again");
  }

  /** Spark's errors in one line; some are checked exceptions that Scala does not declare. */
  private <T> T reading(Supplier<T> action) {
    try (JobDescription unused =
        JobDescription.set(session.sparkContext(), "read encrypted results of " + folder)) {
      return action.get();
    } catch (InvalidInputException error) {
      throw error;
    } catch (Exception error) {
      throw new InvalidInputException(
          "results " + folder + " cannot be read: " + CauseLine.of(error) + "; evaluate again",
          error);
    }
  }
}
