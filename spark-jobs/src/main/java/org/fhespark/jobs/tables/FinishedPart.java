package org.fhespark.jobs.tables;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FileStatus;

/**
 * A part of a table under way that is whole, as its file's name says.
 *
 * @param digest of the input rows that it is made of, in hexadecimal
 * @param occurrence tells parts of the same rows from one another
 * @param rows their number
 * @param bytes of the file
 */
record FinishedPart(String digest, int occurrence, long rows, long bytes) {
  private static final Pattern NAME =
      Pattern.compile("([0-9a-f]{64})-(\\d{1,9})-(\\d{1,18})-(\\d{1,18})\\..*");

  /**
   * @param ending of the format's files
   */
  String name(String ending) {
    return digest + "-" + occurrence + "-" + rows + "-" + bytes + ending;
  }

  /** The part in a file; none if the name is no part's or the file is shorter than it says. */
  static Optional<FinishedPart> in(FileStatus file, String ending) {
    String name = file.getPath().getName();
    Matcher fields = NAME.matcher(name);
    if (!fields.matches()) {
      return Optional.empty();
    }
    FinishedPart part =
        new FinishedPart(
            fields.group(1),
            Integer.parseInt(fields.group(2)),
            Long.parseLong(fields.group(3)),
            Long.parseLong(fields.group(4)));
    boolean isWhole = name.equals(part.name(ending)) && file.getLen() == part.bytes();
    return isWhole ? Optional.of(part) : Optional.empty();
  }
}
