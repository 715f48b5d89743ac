package org.fhespark.nativelib;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.io.Output;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.NotSerializableException;
import java.io.ObjectOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HexFormat;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.ByteRange;
import net.jqwik.api.constraints.IntRange;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ClientKeyTest {
  private static final List<SecretKeyShape> SHAPES = List.of(new SecretKeyShape(20, 64, 4, 2));

  @TempDir Path directory;

  private static ClientKey newKey() {
    byte[] clientId = new byte[32];
    clientId[0] = 7;
    return ClientKey.generate(clientId, SHAPES);
  }

  @Test
  void aSavedKeyIsReadableByItsOwnerOnlyAndComesBack() throws IOException {
    Path file = directory.resolve("keys/client.key");
    try (ClientKey key = newKey()) {
      key.save(file);
      assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
      try (ClientKey read = ClientKey.load(file)) {
        assertEquals(key.id(), read.id());
        assertArrayEquals(key.clientId(), read.clientId());
      }
      InvalidInputException error = assertThrows(InvalidInputException.class, () -> key.save(file));
      assertTrue(error.getMessage().contains("not overwritten"), error.getMessage());
    }
  }

  @Test
  void aKeyThatOthersMayReadIsRefused() throws IOException {
    Path file = directory.resolve("client.key");
    try (ClientKey key = newKey()) {
      key.save(file);
    }
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
    InvalidInputException error =
        assertThrows(InvalidInputException.class, () -> ClientKey.load(file));
    assertTrue(error.getMessage().contains("mode 640"), error.getMessage());
  }

  @Test
  void aKeyBelowAFileCannotBeWritten() throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "").resolve("client.key");
    try (ClientKey key = newKey()) {
      InvalidInputException error = assertThrows(InvalidInputException.class, () -> key.save(file));
      assertTrue(error.getMessage().contains(file.toString()), error.getMessage());
    }
  }

  @Test
  void aMissingKeyNamesItsFile() {
    Path file = directory.resolve("client.key");
    InvalidInputException error =
        assertThrows(InvalidInputException.class, () -> ClientKey.load(file));
    assertTrue(error.getMessage().contains(file.toString()), error.getMessage());
  }

  private static String refusal(Path file, String passphrase) {
    char[] characters = passphrase == null ? null : passphrase.toCharArray();
    return assertThrows(InvalidInputException.class, () -> ClientKey.load(file, characters).close())
        .getMessage();
  }

  @Test
  void aKeyUnderAPassphraseComesBackWithItAlone() throws IOException {
    Path file = directory.resolve("client.key");
    // Of one to four bytes in UTF-8.
    String passphrase = "a\u00e9\u20ac\ud83d\udd11 ";
    try (ClientKey key = newKey()) {
      key.save(file, passphrase.toCharArray());
      assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
      try (ClientKey read = ClientKey.load(file, passphrase.toCharArray())) {
        assertEquals(key.id(), read.id());
        assertArrayEquals(key.clientId(), read.clientId());
      }
      Path plain = directory.resolve("plain.key");
      key.save(plain);
      // The plain file's key id, for one, is nowhere in the other.
      String id = new String(HexFormat.of().parseHex(key.id()), StandardCharsets.ISO_8859_1);
      assertTrue(Files.readString(plain, StandardCharsets.ISO_8859_1).contains(id));
      assertFalse(Files.readString(file, StandardCharsets.ISO_8859_1).contains(id));
      String useless = refusal(plain, "p");
      assertTrue(useless.contains("not protected by a passphrase"), useless);
    }
    String wrong = refusal(file, passphrase.trim());
    assertEquals(file + ": the passphrase is wrong", wrong);
    String none = refusal(file, null);
    assertTrue(none.startsWith(file + ": this client key is protected by a passphrase"), none);
  }

  @Test
  void aPassphraseIsSomeTextAndOthersMakeNoFile() {
    Path file = directory.resolve("client.key");
    try (ClientKey key = newKey()) {
      for (String bad : List.of("", "\ud83d")) {
        InvalidInputException error =
            assertThrows(InvalidInputException.class, () -> key.save(file, bad.toCharArray()));
        assertTrue(error.getMessage().startsWith("the passphrase is "), error.getMessage());
      }
    }
    assertFalse(Files.exists(file));
  }

  @Property(tries = 60)
  void anAlteredKeyFileIsRefused(
      @ForAll @IntRange(max = 370) int position, @ForAll @ByteRange(min = 1) byte change)
      throws IOException {
    // Properties get no @TempDir.
    Path folder = Files.createTempDirectory("fhe-key");
    Path file = folder.resolve("client.key");
    try (ClientKey key = newKey()) {
      key.save(file);
    }
    byte[] bytes = Files.readAllBytes(file);
    bytes[position] ^= change;
    Files.write(file, bytes);
    InvalidInputException error =
        assertThrows(InvalidInputException.class, () -> ClientKey.load(file));
    assertTrue(error.getMessage().startsWith(file.toString()), error.getMessage());
    Files.delete(file);
    Files.delete(folder);
  }

  @Test
  void aShapeBelow132BitsIsRefused() {
    InvalidInputException error =
        assertThrows(
            InvalidInputException.class,
            () -> ClientKey.generate(new byte[32], List.of(new SecretKeyShape(5, 64, 5, 1))));
    assertTrue(error.getMessage().contains("132-bit"), error.getMessage());
  }

  @Test
  void javaSerialisationIsRefusedWithTheReason() throws IOException {
    try (ClientKey key = newKey();
        ObjectOutputStream out = new ObjectOutputStream(new ByteArrayOutputStream())) {
      NotSerializableException error =
          assertThrows(NotSerializableException.class, () -> out.writeObject(key));
      assertTrue(error.getMessage().contains("must not leave the client"), error.getMessage());
    }
  }

  @Test
  void kryoSerialisationIsRefusedWithTheReason() {
    Kryo kryo = new Kryo();
    try (ClientKey key = newKey();
        Output out = new Output(64, -1)) {
      KryoException error =
          assertThrows(KryoException.class, () -> kryo.writeClassAndObject(out, key));
      assertTrue(error.getMessage().contains("must not leave the client"), error.getMessage());
    }
  }

  @Test
  void aClosedKeyCannotBeUsed() {
    ClientKey key = newKey();
    key.close();
    key.close();
    IllegalStateException error = assertThrows(IllegalStateException.class, key::id);
    assertEquals("this client key is closed", error.getMessage());
  }
}
