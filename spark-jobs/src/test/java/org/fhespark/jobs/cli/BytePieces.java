package org.fhespark.jobs.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Pieces of bytes, of 8 or more each, that are looked for in large files. */
final class BytePieces {
  private static final int WINDOW = 1 << 28;
  private static final int LONGEST = 1 << 12;

  /** By their first eight bytes. */
  private final Map<Long, List<byte[]>> pieces = new HashMap<>();

  /** A bit for some of the bits of these: most places are passed over by this alone. */
  private final long[] filter = new long[1 << 14];

  private int count;

  BytePieces(Collection<byte[]> all) {
    for (byte[] piece : all) {
      if (piece.length < Long.BYTES || piece.length > LONGEST) {
        throw new IllegalArgumentException("a piece of " + piece.length + " bytes");
      }
      long first = ByteBuffer.wrap(piece).order(ByteOrder.LITTLE_ENDIAN).getLong();
      pieces.computeIfAbsent(first, unused -> new ArrayList<>()).add(piece);
      filter[slot(first) >> 6] |= 1L << slot(first);
      count++;
    }
  }

  private static int slot(long first) {
    return (int) ((first * 0x9E3779B97F4A7C15L) >>> 44);
  }

  int count() {
    return count;
  }

  /** How many of them are in a file, wherever. */
  int foundIn(Path file) throws IOException {
    Set<byte[]> found = new HashSet<>();
    try (FileChannel channel = FileChannel.open(file)) {
      for (long start = 0; start < channel.size(); start += WINDOW) {
        long length = Math.min(channel.size() - start, (long) WINDOW + LONGEST);
        ByteBuffer bytes =
            channel.map(MapMode.READ_ONLY, start, length).order(ByteOrder.LITTLE_ENDIAN);
        for (int at = 0; at + Long.BYTES <= length; at++) {
          long first = bytes.getLong(at);
          if ((filter[slot(first) >> 6] >> slot(first) & 1) != 0) {
            for (byte[] piece : pieces.getOrDefault(first, List.of())) {
              if (at + piece.length <= length
                  && bytes.slice(at, piece.length).equals(ByteBuffer.wrap(piece))) {
                found.add(piece);
              }
            }
          }
        }
      }
    }
    return found.size();
  }
}
