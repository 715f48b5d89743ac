package org.fhespark.nativelib;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeLibraryTest {
  @TempDir Path directory;

  /** Loads the library in a JVM of its own, under `ulimit -f blocks` (units of 1 KiB). */
  private Run loadIn(Path target, String fileSizeLimit) throws IOException, InterruptedException {
    Path out = directory.resolve("out");
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    Process process =
        new ProcessBuilder(
                List.of(
                    "bash",
                    "-c",
                    "ulimit -f " + fileSizeLimit + "; exec \"$@\"",
                    "bash",
                    java,
                    "-XX:-UsePerfData",
                    "-D" + NativeLibrary.DIRECTORY_PROPERTY + "=" + target,
                    "-cp",
                    System.getProperty("java.class.path"),
                    Loader.class.getName()))
            .redirectErrorStream(true)
            .redirectOutput(out.toFile())
            .start();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "the JVM hangs");
    return new Run(process.exitValue(), Files.readString(out).trim());
  }

  private record Run(int status, String output) {}

  @Test
  void theLibraryLoadsAndLeavesNoFile() throws Exception {
    Path target = directory.resolve("new/sub");
    Run run = loadIn(target, "unlimited");
    assertEquals(new Run(0, "loaded"), run);
    try (Stream<Path> files = Files.list(target)) {
      assertEquals(0, files.count());
    }
  }

  @Test
  void noSpaceForTheLibraryIsOneClearLine() throws Exception {
    Path target = directory.resolve("small");
    Run run = loadIn(target, "64");
    assertEquals(2, run.status(), run.output());
    assertEquals(1, run.output().lines().count(), run.output());
    assertTrue(run.output().contains("cannot be unpacked to " + target), run.output());
    assertTrue(run.output().contains(NativeLibrary.DIRECTORY_PROPERTY), run.output());
    try (Stream<Path> files = Files.list(target)) {
      assertEquals(0, files.count(), "half a library was left behind");
    }
  }

  @Test
  void aDirectoryThatCannotBeMadeIsOneClearLine() throws Exception {
    Path file = Files.writeString(directory.resolve("file"), "not a directory");
    Run run = loadIn(file.resolve("sub"), "unlimited");
    assertEquals(2, run.status(), run.output());
    assertTrue(run.output().contains("cannot be unpacked to " + file), run.output());
  }

  @Test
  void theKernelHasAName() {
    assertNotEquals("", NativeLibrary.kernelName());
  }

  /** The child JVM. */
  static final class Loader {
    private Loader() {}

    public static void main(String[] arguments) {
      try {
        NativeLibrary.load();
        System.out.println("loaded");
      } catch (InvalidInputException error) {
        System.out.println(error.getMessage());
        System.exit(2);
      }
    }
  }
}
