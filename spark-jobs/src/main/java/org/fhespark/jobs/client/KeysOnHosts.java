package org.fhespark.jobs.client;

import java.io.Serializable;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;

/**
 * Where the keys are on every host of a cluster that the client trusts: the same path on each. Only
 * the path travels.
 */
public final class KeysOnHosts implements Serializable {
  private static final long serialVersionUID = 1;

  private final String folder;
  private final String passphraseFile;

  /**
   * @param passphraseFile of {@link StoredPassphrase}, on the host
   */
  public KeysOnHosts(Path folder, Optional<Path> passphraseFile) {
    this.folder = folder.toAbsolutePath().toString();
    this.passphraseFile = passphraseFile.map(file -> file.toAbsolutePath().toString()).orElse(null);
  }

  /** Opens the folder of the host this runs on. */
  KeyFolder open() {
    Optional<char[]> passphrase =
        StoredPassphrase.read(Optional.ofNullable(passphraseFile).map(Path::of));
    try {
      return KeyFolder.open(Path.of(folder), passphrase.orElse(null));
    } finally {
      passphrase.ifPresent(text -> Arrays.fill(text, '\0'));
    }
  }
}
