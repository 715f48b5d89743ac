package org.fhespark.jobs.cli;

import java.io.Console;
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
import java.util.function.Function;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.KeyFolder;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

/** Where the passphrase of a folder of keys comes from. */
final class PassphraseOptions {
  private static final String VARIABLE = "FHE_SPARK_PASSPHRASE";
  private static final int MAX_BYTES = 4096;
  private static final Set<PosixFilePermission> OF_OTHERS =
      EnumSet.complementOf(
          EnumSet.of(
              PosixFilePermission.OWNER_READ,
              PosixFilePermission.OWNER_WRITE,
              PosixFilePermission.OWNER_EXECUTE));

  @ArgGroup private Source source = new Source();

  /** At most one of them. */
  private static final class Source {
    @Option(
        names = "--passphrase-file",
        paramLabel = "FILE",
        description =
            "A local file, readable by its owner only, whose text is the passphrase that protects"
                + " the client's keys; a line end at its end does not count. Without this and"
                + " --passphrase it is $FHE_SPARK_PASSPHRASE, if that is set.")
    private Path file;

    @Option(names = "--passphrase", description = "Ask for that passphrase on the terminal.")
    private boolean isAsked;
  }

  /**
   * Opens a folder of keys.
   *
   * @throws InvalidInputException as {@link KeyFolder}, and if the passphrase cannot be read
   */
  KeyFolder open(Path keys) {
    return use(false, passphrase -> KeyFolder.open(keys, passphrase));
  }

  /**
   * Gives the passphrase, null for none, and wipes it after use.
   *
   * @param isNew whether a key shall be protected by it, so that a mistype would lock it up
   */
  <T> T use(boolean isNew, Function<char[], T> user) {
    Optional<char[]> passphrase = read(isNew);
    try {
      return user.apply(passphrase.orElse(null));
    } finally {
      passphrase.ifPresent(PassphraseOptions::wipe);
    }
  }

  private Optional<char[]> read(boolean isNew) {
    if (source.file != null) {
      return Optional.of(read(source.file));
    }
    if (source.isAsked) {
      return Optional.of(ask(isNew));
    }
    // A string of the environment cannot be wiped.
    return Optional.ofNullable(System.getenv(VARIABLE)).map(String::toCharArray);
  }

  private static char[] ask(boolean isNew) {
    Console console = System.console();
    if (console == null) {
      throw new InvalidInputException(
          "--passphrase asks on a terminal, and there is none: use --passphrase-file");
    }
    char[] passphrase = required(console.readPassword("Passphrase of the client's keys: "));
    if (isNew) {
      char[] again = required(console.readPassword("The same again: "));
      boolean isSame = Arrays.equals(passphrase, again);
      wipe(again);
      if (!isSame) {
        wipe(passphrase);
        throw new InvalidInputException("the two passphrases differ");
      }
    }
    return passphrase;
  }

  private static char[] required(char[] typed) {
    if (typed == null) {
      throw new InvalidInputException("no passphrase was typed");
    }
    return typed;
  }

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
