package org.fhespark.jobs.tables;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.IOUtils;
import org.apache.parquet.format.ColumnChunk;
import org.apache.parquet.format.Encoding;
import org.apache.parquet.format.FileMetaData;
import org.apache.parquet.format.PageEncodingStats;
import org.apache.parquet.format.RowGroup;
import org.apache.parquet.format.Util;

/**
 * Makes Parquet files of the same rows equal byte for byte, whichever JVM wrote them: its writer
 * lists the encodings of a column in the order of a hash set of enum constants.
 */
final class ParquetFooter {
  private static final byte[] MAGIC = "PAR1".getBytes(StandardCharsets.US_ASCII);
  private static final int TRAILER_BYTES = Integer.BYTES + MAGIC.length;

  private ParquetFooter() {}

  /**
   * Puts the encodings of a file in order. The file is copied if they are not.
   *
   * @param copy a path that is free, and is again when this ends well
   */
  static void order(TablePlace place, Path file, Path copy) throws IOException {
    FileSystem fs = place.fs();
    try (FSDataInputStream in = fs.open(file)) {
      long end = fs.getFileStatus(file).getLen() - TRAILER_BYTES;
      byte[] trailer = new byte[TRAILER_BYTES];
      in.readFully(end, trailer);
      if (!Arrays.equals(MAGIC, 0, MAGIC.length, trailer, Integer.BYTES, TRAILER_BYTES)) {
        // Its footer is encrypted, so the file holds random bytes in any case.
        return;
      }
      byte[] footer = new byte[ByteBuffer.wrap(trailer).order(ByteOrder.LITTLE_ENDIAN).getInt()];
      long pages = end - footer.length;
      in.readFully(pages, footer);
      byte[] ordered = ordered(footer);
      if (Arrays.equals(footer, ordered)) {
        return;
      }
      if (ordered.length != footer.length) {
        throw new IOException("footer of " + file + " cannot be written as it was");
      }
      in.seek(0);
      try (FSDataOutputStream out = fs.create(copy, true)) {
        IOUtils.copyBytes(in, out, pages, false);
        if (out.getPos() != pages) {
          throw new IOException(file + " ends before its footer");
        }
        out.write(ordered);
        out.write(trailer);
      }
    }
    fs.delete(file, false);
    place.rename(copy, file);
  }

  private static byte[] ordered(byte[] footer) throws IOException {
    FileMetaData file = Util.readFileMetaData(new ByteArrayInputStream(footer));
    if (file.isSetEncryption_algorithm()) {
      // It is signed.
      return footer;
    }
    for (RowGroup group : file.getRow_groups()) {
      for (ColumnChunk column : group.getColumns()) {
        List<Encoding> encodings = new ArrayList<>(column.getMeta_data().getEncodings());
        encodings.sort(Comparator.comparingInt(Encoding::getValue));
        column.getMeta_data().setEncodings(encodings);
        if (column.getMeta_data().isSetEncoding_stats()) {
          List<PageEncodingStats> pages =
              new ArrayList<>(column.getMeta_data().getEncoding_stats());
          pages.sort(null);
          column.getMeta_data().setEncoding_stats(pages);
        }
      }
    }
    ByteArrayOutputStream out = new ByteArrayOutputStream(footer.length);
    Util.writeFileMetaData(file, out);
    return out.toByteArray();
  }
}
