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
import java.util.stream.IntStream;

/** Pieces of bytes, of 8 or more each, that are looked for in large files. */
final class BytePieces {
  private static final int WINDOW = 1 << 28;
  private static final int LONGEST = 1 << 12;

  /**
   * A piece, and where in it the eight bytes are that it is found by: those least alike, since
   * memory is full of zeros.
   */
  private record Anchored(byte[] piece, int anchor) {
    static Anchored of(byte[] piece) {
      int anchor = 0;
      long most = 0;
      for (int start = 0; start + Long.BYTES <= piece.length; start++) {
        long distinct =
            IntStream.range(start, start + Long.BYTES).map(at -> piece[at]).distinct().count();
        if (distinct > most) {
          most = distinct;
          anchor = start;
        }
      }
      return new Anchored(piece, anchor);
    }

    long key() {
      return ByteBuffer.wrap(piece).order(ByteOrder.LITTLE_ENDIAN).getLong(anchor);
    }

    /** Whether the piece is in bytes, with its anchor at a place. */
    boolean isAt(ByteBuffer bytes, int at) {
      int start = at - anchor;
      return start >= 0
          && start + piece.length <= bytes.limit()
          && bytes.slice(start, piece.length).equals(ByteBuffer.wrap(piece));
    }
  }

  /** By the eight bytes of their anchors. */
  private final Map<Long, List<Anchored>> pieces = new HashMap<>();

  /** A bit for some of the bits of these: most places are passed over by this alone. */
  private final long[] filter = new long[1 << 14];

  private int count;

  BytePieces(Collection<byte[]> all) {
    for (byte[] piece : all) {
      if (piece.length < Long.BYTES || piece.length > LONGEST) {
        throw new IllegalArgumentException("a piece of " + piece.length + " bytes");
      }
      Anchored anchored = Anchored.of(piece);
      long key = anchored.key();
      pieces.computeIfAbsent(key, unused -> new ArrayList<>()).add(anchored);
      filter[slot(key) >> 6] |= 1L << slot(key);
      count++;
    }
  }

  private static int slot(long key) {
    return (int) ((key * 0x9E3779B97F4A7C15L) >>> 44);
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
          long key = bytes.getLong(at);
          if ((filter[slot(key) >> 6] >> slot(key) & 1) != 0) {
            for (Anchored piece : pieces.getOrDefault(key, List.of())) {
              if (piece.isAt(bytes, at)) {
                found.add(piece.piece());
              }
            }
          }
        }
      }
    }
    return found.size();
  }
}
