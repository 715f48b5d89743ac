package org.fhespark.jobs.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** The memory of another process that runs, native memory too, by Linux's /proc. */
final class ProcessMemory {
  private static final int CHUNK = 1 << 20;

  private ProcessMemory() {}

  /**
   * Copies all that the process may write to, one region behind the other; what is zero takes no
   * room in the file.
   *
   * @return whether this process may look
   */
  static boolean copy(ProcessHandle process, Path file) throws IOException {
    Path proc = Path.of("/proc", Long.toString(process.pid()));
    try (FileChannel memory = FileChannel.open(proc.resolve("mem"));
        FileChannel copy =
            FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK);
      long at = 0;
      for (String line : Files.readAllLines(proc.resolve("maps"))) {
        String[] fields = line.split("[ -]", 4);
        if (fields[2].startsWith("rw")) {
          long start = Long.parseUnsignedLong(fields[0], 16);
          long end = Long.parseUnsignedLong(fields[1], 16);
          copy(memory, start, end, copy, at, chunk);
          at += end - start;
        }
      }
      return true;
    } catch (AccessDeniedException error) {
      return false;
    }
  }

  private static void copy(
      FileChannel memory, long start, long end, FileChannel copy, long to, ByteBuffer chunk)
      throws IOException {
    for (long at = start; at < end; at += chunk.limit()) {
      chunk.clear().limit((int) Math.min(CHUNK, end - at));
      try {
        if (memory.read(chunk, at) < chunk.limit()) {
          // Given back since the map was read, or mapped behind the end of a file.
          return;
        }
      } catch (IOException error) {
        return;
      }
      chunk.flip();
      if (!isZero(chunk)) {
        for (long written = to + at - start; chunk.hasRemaining(); ) {
          written += copy.write(chunk, written);
        }
      }
    }
  }

  private static boolean isZero(ByteBuffer chunk) {
    for (int at = 0; at + Long.BYTES <= chunk.limit(); at += Long.BYTES) {
      if (chunk.getLong(at) != 0) {
        return false;
      }
    }
    return true;
  }
}
