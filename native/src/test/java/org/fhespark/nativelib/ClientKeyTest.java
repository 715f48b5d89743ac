package org.fhespark.nativelib;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.io.Output;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.NotSerializableException;
import java.io.ObjectOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
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
