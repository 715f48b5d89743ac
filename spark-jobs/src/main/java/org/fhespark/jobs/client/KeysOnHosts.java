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
  /** The variable of the passphrase, where no file is named. */
  public static final String PASSPHRASE = "FHE_SPARK_PASSPHRASE";

  private static final long serialVersionUID = 1;

  private final String folder;
  private final String passphraseFile;

  /**
   * @param passphraseFile without it, the passphrase is what {@link #PASSPHRASE} is on the host
   */
  public KeysOnHosts(Path folder, Optional<Path> passphraseFile) {
    this.folder = folder.toAbsolutePath().toString();
    this.passphraseFile = passphraseFile.map(file -> file.toAbsolutePath().toString()).orElse(null);
  }

  /** Opens the folder of the host this runs on. */
  KeyFolder open() {
    char[] passphrase = passphrase();
    try {
      return KeyFolder.open(Path.of(folder), passphrase);
    } finally {
      if (passphrase != null) {
        Arrays.fill(passphrase, '\0');
      }
    }
  }

  private char[] passphrase() {
    if (passphraseFile != null) {
      return PassphraseFile.read(Path.of(passphraseFile));
    }
    String variable = System.getenv(PASSPHRASE);
    return variable == null ? null : variable.toCharArray();
  }
}
