package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvaluationKeyFilesTest {
  private static final int WRITERS = 8;

  @TempDir Path folder;

  private List<Path> files() throws Exception {
    try (Stream<Path> found = Files.list(folder)) {
      return found.toList();
    }
  }

  @Test
  void aKeyThatWasMadeMeanwhileIsNotOverwritten() throws Exception {
    Path file = folder.resolve(EvaluationKeyFiles.name(0));
    byte[] made = {1, 2, 3};
    Files.write(file, made);
    InvalidInputException error =
        assertThrows(
            InvalidInputException.class, () -> EvaluationKeyFiles.write(file, new byte[] {4}));
    assertEquals(1, error.getMessage().lines().count(), error.getMessage());
    assertTrue(error.getMessage().startsWith(file + ": exists"), error.getMessage());
    assertArrayEquals(made, Files.readAllBytes(file));
    assertEquals(List.of(file), files());
  }

  @Test
  void ofWritersAtATimeOneSucceedsAndItsKeyStays() throws Exception {
    Path file = folder.resolve(EvaluationKeyFiles.name(0));
    ExecutorService threads = Executors.newFixedThreadPool(WRITERS);
    List<Byte> written = new ArrayList<>();
    try {
      List<Future<Path>> writers = new ArrayList<>();
      for (byte i = 0; i < WRITERS; i++) {
        byte[] key = new byte[1 << 16];
        Arrays.fill(key, i);
        writers.add(threads.submit(() -> EvaluationKeyFiles.write(file, key)));
      }
      for (byte i = 0; i < WRITERS; i++) {
        try {
          writers.get(i).get();
          written.add(i);
        } catch (ExecutionException refused) {
          assertTrue(refused.getCause().getMessage().contains("exists"), refused.toString());
        }
      }
    } finally {
      threads.shutdownNow();
    }
    assertEquals(1, written.size(), written.toString());
    byte[] found = Files.readAllBytes(file);
    assertEquals(1 << 16, found.length);
    assertEquals(written.get(0), found[found.length - 1]);
    assertEquals(List.of(file), files());
  }
}
