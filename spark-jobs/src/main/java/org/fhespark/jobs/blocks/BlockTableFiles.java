package org.fhespark.jobs.blocks;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.streaming.sinks.FileStreamSink;
import org.apache.spark.sql.execution.streaming.sinks.FileStreamSinkLog;
import org.apache.spark.sql.execution.streaming.sinks.SinkFileStatus;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.tables.CauseLine;
import scala.Option;

/** Which files of a folder are those of a table of blocks. */
public final class BlockTableFiles {
  private static final String QUARANTINE = "_quarantine";

  private BlockTableFiles() {}

  /** Where blocks go whose results are not in a table, because they cannot be evaluated. */
  public static Path quarantine(Path results) {
    return new Path(results, QUARANTINE);
  }

  /**
   * The files that a streaming query has committed if one writes the table, else all visible ones.
   * The query's log names them by where they were when they were written: they may be elsewhere by
   * now, or under another name of the same file system, so each is looked for in the folder.
   *
   * @return none if there is no such folder
   * @throws InvalidInputException if it cannot be read
   */
  public static List<Path> list(SparkSession spark, Path folder) {
    Configuration conf = spark.sparkContext().hadoopConfiguration();
    try {
      FileSystem files = folder.getFileSystem(conf);
      Path log = new Path(folder, FileStreamSink.metadataDir());
      List<Path> found = new ArrayList<>();
      if (files.exists(log)) {
        FileStreamSinkLog committed =
            new FileStreamSinkLog(
                FileStreamSinkLog.VERSION(), spark, log.toString(), Option.empty());
        for (SinkFileStatus file : committed.allFiles()) {
          found.add(new Path(folder, file.sparkPath().toPath().getName()));
        }
        return found;
      }
      for (FileStatus file : files.listStatus(folder)) {
        String name = file.getPath().getName();
        if (!name.startsWith("_") && !name.startsWith(".")) {
          found.add(file.getPath());
        }
      }
      return found;
    } catch (FileNotFoundException error) {
      return List.of();
    } catch (IOException error) {
      throw new InvalidInputException(
          "table "
              + folder
              + " cannot be listed: "
              + CauseLine.of(error)
              + "; check path and rights",
          error);
    }
  }
}
