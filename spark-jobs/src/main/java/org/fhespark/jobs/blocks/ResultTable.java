package org.fhespark.jobs.blocks;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.input_file_name;

import java.net.URI;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.LongConsumer;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.tables.CauseLine;
import org.fhespark.udf.BlockTable;

/**
 * A table of results, in which the client looks for those of its blocks. Spark may read it: it is
 * all encrypted. In memory is where each block lies, and those that are asked for.
 */
public final class ResultTable {
  private final SparkSession session;
  private final Path folder;

  /** The file of a block, by its number. */
  private final Map<Long, String> files = new HashMap<>();

  private ResultTable(SparkSession session, Path folder) {
    this.session = session;
    this.folder = folder;
  }

  /**
   * Opens a table with the blocks that it has now.
   *
   * @throws InvalidInputException if there is none, it cannot be read or is no table of blocks
   */
  public static ResultTable open(SparkSession spark, Path folder) {
    ResultTable table = new ResultTable(BlockSettings.sessionOf(spark), folder);
    String[] paths =
        BlockTableFiles.list(spark, folder).stream().map(Path::toString).toArray(String[]::new);
    if (paths.length == 0) {
      throw new InvalidInputException(
          "results " + folder + " holds no blocks: check the path, and that evaluate has ended");
    }
    table.reading(
        () -> {
          BlockTable.requireColumns(
              table.session.read().parquet(paths).schema(), folder.toString());
          for (Row row :
              table
                  .session
                  .read()
                  .parquet(paths)
                  .select(col(BlockTable.NUMBER), input_file_name())
                  .collectAsList()) {
            // Spark gives a URI, and takes a path.
            String file = new Path(URI.create(row.getString(1))).toString();
            table.files.putIfAbsent(row.getLong(0), file);
          }
          return null;
        });
    return table;
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
   * Reads blocks that are there.
   *
   * @return their bytes by number
   * @throws InvalidInputException if a file cannot be read
   */
  public Map<Long, byte[]> read(Collection<Long> numbers) {
    TreeSet<String> paths = new TreeSet<>();
    numbers.forEach(number -> paths.add(files.get(number)));
    List<Row> rows =
        reading(
            () ->
                session
                    .read()
                    .parquet(paths.toArray(String[]::new))
                    .where(col(BlockTable.NUMBER).isInCollection(numbers))
                    .select(col(BlockTable.NUMBER), col(BlockTable.BLOCK))
                    .collectAsList());
    Map<Long, byte[]> blocks = new HashMap<>();
    rows.forEach(row -> blocks.putIfAbsent(row.getLong(0), row.<byte[]>getAs(1)));
    return blocks;
  }

  /** Spark's errors in one line; some are checked exceptions that Scala does not declare. */
  private <T> T reading(Supplier<T> action) {
    try {
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
