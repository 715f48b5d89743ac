package org.fhespark.bench;

import com.sun.management.UnixOperatingSystemMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.fhespark.nativelib.NativeLibrary;
import org.fhespark.nativelib.NativeMemory;
import org.fhespark.udf.DirectMemory;

/**
 * What this process holds between two rounds of {@link Soak}.
 *
 * @param seconds since the soak began
 * @param rounds behind it
 * @param heapBytes used, behind a collection
 * @param nativeHeapBytes circuits, keys and working memory on the native side
 * @param nativeBytesInUse buffers and results that are not kept for others
 * @param nativeHandles open native objects
 * @param residentBytes VmRSS
 * @param threads of the process, native ones too
 * @param files open file descriptors
 * @param temporaryFiles files and folders in the JVM's and Spark's temporary folder
 */
record SoakSample(
    double seconds,
    long rounds,
    long heapBytes,
    long nativeHeapBytes,
    long nativeBytesInUse,
    long nativeHandles,
    long residentBytes,
    long threads,
    long files,
    long temporaryFiles) {
  /**
   * A figure that must not grow.
   *
   * @param unit what a unit of the figure is divided by when it is shown
   * @param noise what fits and ends of the second half may differ by without any growth: what a
   *     process that is at rest was seen to do, and more
   */
  record Figure(
      String name, String shownIn, double unit, double noise, ToDoubleFunction<SoakSample> of) {}

  private static final double MB = 1e6;

  static final List<Figure> FIGURES =
      List.of(
          new Figure("heap after collection", "MB", MB, 4 * MB, SoakSample::heapBytes),
          new Figure("native heap", "MB", MB, 0.25 * MB, SoakSample::nativeHeapBytes),
          new Figure("native in use", "MB", MB, 0.25 * MB, SoakSample::nativeBytesInUse),
          new Figure("native handles", "", 1, 0.5, SoakSample::nativeHandles),
          new Figure("resident memory", "MB", MB, 64 * MB, SoakSample::residentBytes),
          new Figure("threads", "", 1, 4, SoakSample::threads),
          new Figure("open files", "", 1, 4, SoakSample::files),
          new Figure("temporary files", "", 1, 2, SoakSample::temporaryFiles));

  /**
   * Looks, with no round under way.
   *
   * @param temporary the folder of temporary files
   */
  static SoakSample take(double seconds, long rounds, Path temporary) {
    collect();
    return new SoakSample(
        seconds,
        rounds,
        ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed(),
        NativeMemory.heapBytes(),
        notKept(),
        NativeLibrary.openHandles(),
        1024 * status("VmRSS:"),
        status("Threads:"),
        ((UnixOperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
            .getOpenFileDescriptorCount(),
        files(temporary));
  }

  private static long notKept() {
    return NativeMemory.liveBytes()
        - DirectMemory.shared().idleBytes()
        + NativeMemory.resultBytes()
        - NativeMemory.idleResultBytes();
  }

  /** Twice: what cleaners let go of in between is garbage itself. */
  private static void collect() {
    try {
      for (int time = 0; time < 2; time++) {
        System.gc();
        Thread.sleep(200);
      }
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("the soak was interrupted", error);
    }
  }

  private static long status(String field) {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
        if (line.startsWith(field)) {
          return Long.parseLong(line.replaceAll("\\D", ""));
        }
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    throw new IllegalStateException("/proc/self/status has no " + field);
  }

  private static long files(Path folder) {
    long[] found = {0};
    try {
      Files.walkFileTree(
          folder,
          new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path inner, BasicFileAttributes attributes) {
              found[0]++;
              return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
              found[0]++;
              return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException error) {
              // Deleted meanwhile.
              return FileVisitResult.CONTINUE;
            }
          });
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return found[0];
  }
}
