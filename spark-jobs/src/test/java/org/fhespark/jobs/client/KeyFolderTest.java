package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.SecretKeyShape;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KeyFolderTest {
  @TempDir Path temporary;

  private Path keys;
  private String first;

  private static ClientKey newKey() {
    return ClientKey.generate(new byte[32], List.of(new SecretKeyShape(20, 64, 4, 1)));
  }

  /** Writes a key and what stands for its evaluation key, which only has to keep to it. */
  private static String write(Path folder) {
    try (ClientKey key = newKey()) {
      key.save(folder.resolve("client.key"));
      Files.writeString(folder.resolve("evaluation.key"), "of " + key.id());
      return key.id();
    } catch (IOException error) {
      throw new AssertionError(error);
    }
  }

  @BeforeEach
  void makeTheFirstKey() {
    keys = temporary.resolve("keys");
    first = write(keys);
  }

  private String rotate() {
    try (KeyRotation rotation = KeyRotation.begin(keys, null)) {
      assertFalse(rotation.finishInterrupted());
      String id = write(rotation.stage());
      rotation.commit();
      return id;
    }
  }

  private static String refusal(Runnable run) {
    return assertThrows(InvalidInputException.class, run::run).getMessage();
  }

  private String refusalToOpen() {
    return refusal(() -> KeyFolder.open(keys).close());
  }

  /** Text or, for client keys, the id of every file below the folder. */
  private TreeMap<String, String> contents() throws IOException {
    TreeMap<String, String> contents = new TreeMap<>();
    try (Stream<Path> files = Files.walk(keys)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        String name = keys.relativize(file).toString();
        boolean isText = name.contains("evaluation") || name.equals(".lock");
        contents.put(name, isText ? Files.readString(file) : idIn(file));
      }
    }
    return contents;
  }

  private static String idIn(Path file) {
    try (ClientKey key = ClientKey.load(file)) {
      return key.id();
    }
  }

  private void assertRotatedOnce(String second) throws IOException {
    TreeMap<String, String> expected = new TreeMap<>();
    expected.put(".lock", "");
    expected.put("client.key", second);
    expected.put("evaluation.key", "of " + second);
    expected.put("retired/" + first + ".key", first);
    expected.put("retired/" + first + ".evaluation.key", "of " + first);
    assertEquals(expected, contents());
    assertFalse(Files.exists(keys.resolve("next")));
  }

  @Test
  void aRotationRetiresTheKeyAndEachBlockFindsItsOwn() throws IOException {
    String second = rotate();
    assertRotatedOnce(second);
    String third = rotate();
    assertEquals(
        "rwx------",
        PosixFilePermissions.toString(Files.getPosixFilePermissions(keys.resolve("retired"))));
    try (KeyFolder folder = KeyFolder.open(keys)) {
      assertEquals(third, folder.current().id());
      assertSame(folder.current(), folder.byId(third));
      for (String old : List.of(first, second)) {
        assertEquals(old, folder.byId(old).id());
        assertSame(folder.byId(old), folder.byId(old));
      }
      assertEquals(Stream.of(first, second).sorted().toList(), folder.retiredIds());
    }
  }

  @Test
  void aKeyThatIsNotThereIsNamedWithThoseThatAre() {
    String second = rotate();
    String unknown = "0123456789abcdef0123456789abcdef";
    try (KeyFolder folder = KeyFolder.open(keys)) {
      String message = refusal(() -> folder.byId(unknown));
      for (String id : List.of(unknown, first, second)) {
        assertTrue(message.contains(id), message);
      }
      // No path is made of what data say.
      assertTrue(refusal(() -> folder.byId("../client")).contains("there is no key ../client"));
    }
  }

  @Test
  void aRetiredKeyUnderAnotherName() throws IOException {
    rotate();
    String other = "0123456789abcdef0123456789abcdef";
    Path retired = keys.resolve("retired");
    Files.move(retired.resolve(first + ".key"), retired.resolve(other + ".key"));
    try (KeyFolder folder = KeyFolder.open(keys)) {
      String message = refusal(() -> folder.byId(other));
      assertTrue(message.contains("holds key " + first), message);
    }
  }

  /** The folder as a process that was killed leaves it, then the next rotation. */
  @ParameterizedTest
  @ValueSource(strings = {"staging", "whole", "retired", "exchanged", "moved"})
  void aRotationThatWasInterruptedIsFinishedByTheNext(String last) throws IOException {
    Path staging = Files.createDirectory(keys.resolve(".staging"));
    Path next = keys.resolve("next");
    Path retired = keys.resolve("retired");
    String second = write(staging);
    List<String> steps = List.of("staging", "whole", "retired", "exchanged", "moved");
    int done = steps.indexOf(last);
    if (done >= 1) {
      Files.move(staging, next);
    }
    if (done >= 2) {
      Files.createDirectory(retired);
      Files.createLink(retired.resolve(first + ".evaluation.key"), keys.resolve("evaluation.key"));
      Files.createLink(retired.resolve(first + ".key"), keys.resolve("client.key"));
    }
    if (done >= 3) {
      Files.delete(keys.resolve("client.key"));
      Files.move(next.resolve("client.key"), keys.resolve("client.key"));
    }
    if (done >= 4) {
      Files.delete(keys.resolve("evaluation.key"));
      Files.move(next.resolve("evaluation.key"), keys.resolve("evaluation.key"));
    }

    if (done < 3) {
      try (KeyFolder folder = KeyFolder.open(keys)) {
        assertEquals(first, folder.current().id());
      }
    } else {
      assertTrue(refusalToOpen().contains("keygen --rotate"), refusalToOpen());
    }
    if (done == 0) {
      assertRotatedOnce(rotate());
      return;
    }
    try (KeyRotation rotation = KeyRotation.begin(keys, null)) {
      assertTrue(rotation.finishInterrupted());
    }
    assertRotatedOnce(second);
  }

  @Test
  void whatTheNewKeyDoesNotNeedIsRetiredAllTheSame() throws IOException {
    try (KeyRotation rotation = KeyRotation.begin(keys, null);
        ClientKey key = newKey()) {
      key.save(rotation.stage().resolve("client.key"));
      rotation.commit();
    }
    assertFalse(Files.exists(keys.resolve("evaluation.key")));
    assertEquals(
        "of " + first, Files.readString(keys.resolve("retired/" + first + ".evaluation.key")));
  }

  @Test
  void aRotationThatFailsChangesNothing() throws IOException {
    TreeMap<String, String> before = contents();
    try (KeyRotation rotation = KeyRotation.begin(keys, null)) {
      write(rotation.stage());
    }
    before.put(".lock", "");
    assertEquals(before, contents());
  }

  @Test
  void twoRotationsAtOnceAreRefused() {
    try (KeyRotation rotation = KeyRotation.begin(keys, null)) {
      String message = refusal(() -> KeyRotation.begin(keys, null));
      assertTrue(message.contains("another process"), message);
    }
    rotate();
  }

  @Test
  void aRetiredFileOfTheSameNameIsNeverReplaced() throws IOException {
    Path taken = Files.createDirectories(keys.resolve("retired")).resolve(first + ".key");
    Files.writeString(taken, "a backup");
    assertTrue(refusal(this::rotate).startsWith(taken + ": exists"));
    assertEquals("a backup", Files.readString(taken));
    assertEquals(first, idIn(keys.resolve("client.key")));
    Files.delete(taken);
    try (KeyRotation rotation = KeyRotation.begin(keys, null)) {
      assertTrue(rotation.finishInterrupted());
    }
    assertEquals(first, idIn(taken));
  }

  @Test
  void onePassphraseProtectsAllKeys() {
    Path folder = temporary.resolve("protected");
    char[] passphrase = "p".toCharArray();
    String old;
    try (ClientKey key = newKey()) {
      key.save(folder.resolve("client.key"), passphrase);
      old = key.id();
    }
    assertTrue(refusal(() -> KeyFolder.open(folder)).contains("--passphrase-file"));
    try (KeyRotation rotation = KeyRotation.begin(folder, passphrase);
        ClientKey key = newKey()) {
      key.save(rotation.stage().resolve("client.key"), passphrase);
      rotation.commit();
    }
    try (KeyFolder opened = KeyFolder.open(folder, passphrase)) {
      assertEquals(old, opened.byId(old).id());
    }
    assertEquals("p", new String(passphrase));
  }
}
