package org.fhespark.jobs.tables;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;

/**
 * The files of a table, sorted by name, all of one format.
 *
 * @param path the file or directory that was asked for
 * @param format the format of every file
 * @param files at least one file
 */
record TableFiles(Path path, TableFormat format, List<FileStatus> files) {
  TableFiles {
    files = List.copyOf(files);
  }

  /**
   * Lists a file, or the visible files of a directory.
   *
   * @throws InvalidInputException if there is nothing to read, or files of unknown or mixed formats
   */
  static TableFiles list(Configuration conf, Path path, Optional<TableFormat> asked) {
    List<FileStatus> found = new ArrayList<>();
    try {
      FileSystem fs = path.getFileSystem(conf);
      FileStatus top = fs.getFileStatus(path);
      if (top.isFile()) {
        found.add(top);
      } else {
        for (FileStatus status : fs.listStatus(path)) {
          String name = status.getPath().getName();
          // What Spark and Hadoop leave beside the data: _SUCCESS, _temporary, .crc files.
          if (name.startsWith("_") || name.startsWith(".")) {
            continue;
          }
          if (status.isDirectory()) {
            throw new InvalidInputException(
                "table "
                    + path
                    + " holds a directory '"
                    + name
                    + "': tables with partition directories are not read, name one directory of"
                    + " files");
          }
          found.add(status);
        }
      }
    } catch (FileNotFoundException e) {
      throw new InvalidInputException(
          "table " + path + " does not exist: check the path of the input", e);
    } catch (IOException e) {
      throw new InvalidInputException(
          "table " + path + " cannot be listed: " + CauseLine.of(e) + "; check path and rights", e);
    }
    if (found.isEmpty()) {
      throw new InvalidInputException(
          "table " + path + " is empty: it holds no data file, give one with at least one record");
    }
    found.sort(Comparator.comparing(status -> status.getPath().getName()));
    TableFormat format = asked.orElseGet(() -> commonFormat(path, found));
    return new TableFiles(path, format, found);
  }

  private static TableFormat commonFormat(Path path, List<FileStatus> files) {
    TableFormat common = null;
    for (FileStatus file : files) {
      String name = file.getPath().getName();
      TableFormat format =
          TableFormat.ofFileName(name)
              .orElseThrow(
                  () ->
                      new InvalidInputException(
                          "table "
                              + path
                              + ": the name of file '"
                              + name
                              + "' does not tell its format, name it .parquet, .csv or .json (or"
                              + " state the format)"));
      if (common != null && common != format) {
        throw new InvalidInputException(
            "table "
                + path
                + " mixes formats: '"
                + files.get(0).getPath().getName()
                + "' and '"
                + name
                + "'; keep one format a directory");
      }
      common = format;
    }
    return common;
  }
}
