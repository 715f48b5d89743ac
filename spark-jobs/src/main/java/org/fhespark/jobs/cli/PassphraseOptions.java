package org.fhespark.jobs.cli;

import java.io.Console;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Function;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.KeyFolder;
import org.fhespark.jobs.client.KeysOnHosts;
import org.fhespark.jobs.client.StoredPassphrase;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

/** Where the passphrase of a folder of keys comes from. */
final class PassphraseOptions {

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
   * The same folder, as it is on every host of a cluster that the client trusts.
   *
   * @throws InvalidInputException if the passphrase would have to be asked for
   */
  KeysOnHosts onHosts(Path keys) {
    if (source.isAsked) {
      throw new InvalidInputException(
          "--passphrase asks on this terminal, and the executors cannot: give --passphrase-file, a"
              + " file that is on every host");
    }
    return new KeysOnHosts(keys, Optional.ofNullable(source.file));
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
    return source.isAsked
        ? Optional.of(ask(isNew))
        : StoredPassphrase.read(Optional.ofNullable(source.file));
  }

  private static char[] ask(boolean isNew) {
    Console console = System.console();
    if (console == null) {
      throw new InvalidInputException(
          "--passphrase asks on a terminal, and there is none: use --passphrase-file");
    }
    char[] passphrase = required(console.readPassword("Passphrase of the client's keys: "));
    if (isNew) {
      char[] again = console.readPassword("The same again: ");
      boolean isSame = again != null && Arrays.equals(passphrase, again);
      if (again != null) {
        wipe(again);
      }
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

  private static void wipe(char[] text) {
    Arrays.fill(text, '\0');
  }
}
