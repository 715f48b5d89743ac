package org.fhespark.jobs.tables;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.UUID;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.FileFormat;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;

/** Where a table will be, which takes that place whole, from a directory beside it. */
final class TablePlace {
  private final FileSystem fs;
  private final Path out;
  private final boolean overwrite;
  private final List<Path> madeAbove;

  /**
   * @param overwrite whether a table that is there may be replaced
   * @throws InvalidInputException if the place is taken
   */
  TablePlace(SparkSession session, Path out, boolean overwrite) throws IOException {
    this.fs = out.getFileSystem(PartFormat.hadoopConf(session));
    // As text, because a path made of a URI keeps a slash at its end, and with it no name.
    this.out = fs.makeQualified(new Path(out.toString()));
    this.overwrite = overwrite;
    requireFree();
    this.madeAbove = missingAbove();
  }

  FileSystem fs() {
    return fs;
  }

  /** A path for a directory beside the table, which nothing has. */
  Path beside(String mark) {
    return out.suffix(mark + UUID.randomUUID().toString().substring(0, 8));
  }

  /** A path beside the table that no listing of tables shows. */
  Path hiddenBeside(String mark) {
    return new Path(out.getParent(), "." + out.getName() + mark);
  }

  /** Makes a directory; what was made above it goes again if that fails. */
  void makeDirectory(Path directory) throws IOException {
    try {
      if (!fs.mkdirs(directory)) {
        throw new IOException("directory " + directory + " could not be made");
      }
    } catch (IOException e) {
      deleteMadeAbove();
      throw e;
    }
  }

  /** Directories above the table that do not exist yet, the lowest first. */
  private List<Path> missingAbove() throws IOException {
    List<Path> missing = new ArrayList<>();
    for (Path above = out.getParent();
        above != null && !fs.exists(above);
        above = above.getParent()) {
      missing.add(above);
    }
    return missing;
  }

  /** Deletes the directories above the table that were not there, up to one that is in use. */
  void deleteMadeAbove() throws IOException {
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

  /** Renames a directory to the table; one that is there goes when the new one has its place. */
  void put(Path directory) throws IOException {
    requireFree();
    if (!fs.exists(out)) {
      rename(directory, out);
      return;
    }
    Path old = beside(".old-");
    rename(out, old);
    try {
      rename(directory, out);
    } catch (IOException e) {
      rename(old, out);
      throw e;
    }
    fs.delete(old, true);
  }

  void rename(Path from, Path to) throws IOException {
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

  /**
   * Checks that a format can hold the columns.
   *
   * @throws InvalidInputException naming one that it cannot
   */
  void requireTypes(TableFormat format, StructType schema) {
    FileFormat fileFormat = PartFormat.fileFormat(format);
    for (StructField field : schema.fields()) {
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

  /** A table cannot be begun there. */
  static InvalidInputException cannotBegin(Path out, Throwable refusal) {
    return new InvalidInputException(
        "output "
            + out
            + " cannot be written: "
            + CauseLine.of(refusal)
            + "; choose a directory that you may write to",
        refusal);
  }

  /** What a file system does in writing a table; it may throw IOException. */
  @FunctionalInterface
  interface Writing {
    void run() throws IOException;
  }

  /**
   * Writes something of the table.
   *
   * @throws InvalidInputException if the file system refuses, as a full one does
   */
  void writing(Writing action) {
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
}
