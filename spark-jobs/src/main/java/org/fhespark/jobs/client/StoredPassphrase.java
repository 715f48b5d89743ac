package org.fhespark.jobs.client;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import org.fhespark.InvalidInputException;

/** The passphrase of a folder of keys where nobody types it: the text of a file, or a variable. */
public final class StoredPassphrase {
  /** The variable, where no file is named. */
  private static final String VARIABLE = "FHE_SPARK_PASSPHRASE";

  private static final int MAX_BYTES = 4096;
  private static final Set<PosixFilePermission> OF_OTHERS =
      EnumSet.complementOf(
          EnumSet.of(
              PosixFilePermission.OWNER_READ,
              PosixFilePermission.OWNER_WRITE,
              PosixFilePermission.OWNER_EXECUTE));

  private StoredPassphrase() {}

  /**
   * Reads it, for the caller to wipe.
   *
   * @param file without it, the passphrase is the variable's, if that is set
   * @throws InvalidInputException as {@link #read(Path)}
   */
  public static Optional<char[]> read(Optional<Path> file) {
    // A string of the environment cannot be wiped.
    return file.map(StoredPassphrase::read)
        .or(() -> Optional.ofNullable(System.getenv(VARIABLE)).map(String::toCharArray));
  }

  /**
   * Reads a passphrase, for the caller to wipe.
   *
   * @param file readable by its owner only, or a pipe; a line end at its end does not count
   * @throws InvalidInputException if it cannot be read, is open to others, or no UTF-8 text
   */
  private static char[] read(Path file) {
    byte[] bytes = new byte[MAX_BYTES + 1];
    CharBuffer text = CharBuffer.allocate(bytes.length);
    try (InputStream in = Files.newInputStream(file)) {
      // A pipe, as of <(command), has no permissions to look at.
      if (Files.isRegularFile(file)) {
        requirePrivate(file);
      }
      int length = in.readNBytes(bytes, 0, bytes.length);
      if (length > MAX_BYTES) {
        throw new InvalidInputException(
            "passphrase file " + file + " is too long: at most " + MAX_BYTES + " bytes");
      }
      ByteBuffer read = ByteBuffer.wrap(bytes, 0, length);
      if (StandardCharsets.UTF_8.newDecoder().decode(read, text, true).isError()) {
        throw new InvalidInputException("passphrase file " + file + " is not UTF-8 text");
      }
      return Arrays.copyOf(text.array(), withoutLineEnd(text.array(), text.position()));
    } catch (NoSuchFileException error) {
      throw new InvalidInputException("passphrase file " + file + " does not exist", error);
    } catch (IOException error) {
      throw new InvalidInputException(
          "passphrase file " + file + " cannot be read: " + error.getMessage(), error);
    } finally {
      Arrays.fill(bytes, (byte) 0);
      wipe(text.array());
    }
  }

  private static void requirePrivate(Path file) throws IOException {
    Set<PosixFilePermission> others = EnumSet.copyOf(OF_OTHERS);
    others.retainAll(Files.getPosixFilePermissions(file));
    if (!others.isEmpty()) {
      throw new InvalidInputException(
          "passphrase file " + file + " is open to other users: chmod 600 it");
    }
  }

  private static int withoutLineEnd(char[] text, int length) {
    int end = length;
    if (end > 0 && text[end - 1] == '\n') {
      end--;
      if (end > 0 && text[end - 1] == '\r') {
        end--;
      }
    }
    return end;
  }

  private static void wipe(char[] text) {
    Arrays.fill(text, '\0');
  }
}
