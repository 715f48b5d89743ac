package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Compares folders by the names and bytes of the files in them. */
public final class SameFiles {
  private SameFiles() {}

  public static void assertSameFiles(Path expected, Path actual) throws IOException {
    Map<String, byte[]> files = files(expected);
    Map<String, byte[]> found = files(actual);
    assertEquals(files.keySet(), found.keySet());
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      assertArrayEquals(file.getValue(), found.get(file.getKey()), file.getKey());
    }
  }

  private static Map<String, byte[]> files(Path folder) throws IOException {
    Map<String, byte[]> files = new TreeMap<>();
    try (Stream<Path> inside = Files.list(folder)) {
      for (Path file : inside.toList()) {
        files.put(file.getFileName().toString(), Files.readAllBytes(file));
      }
    }
    return files;
  }
}
