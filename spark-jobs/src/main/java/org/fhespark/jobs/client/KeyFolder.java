package org.fhespark.jobs.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.ClientKey;

/**
 * The local folder of a client's keys: {@code client.key}, what belongs to it, and in {@code
 * retired/} the keys before it, each named by its id. One passphrase protects all of them, or none.
 *
 * <p>The keys that it gives are its own, and are closed with it. It may be shared by threads.
 */
public final class KeyFolder implements AutoCloseable {
  /** Name of the current key's file. */
  public static final String CLIENT_KEY = "client.key";

  /** Name of the file of the current key's public key. */
  public static final String PUBLIC_KEY = "public.key";

  /** Name of the folder of earlier keys. */
  static final String RETIRED = "retired";

  private static final Pattern ID = Pattern.compile("[0-9a-f]{32}");
  private static final String RETIRED_ENDING = ".key";

  private final Path folder;
  private final char[] passphrase;
  private final ClientKey current;
  private final Map<String, ClientKey> retired = new HashMap<>();

  private KeyFolder(Path folder, char[] passphrase) {
    this.folder = folder;
    this.passphrase = passphrase == null ? null : passphrase.clone();
    this.current = ClientKey.load(folder.resolve(CLIENT_KEY), passphrase);
  }

  /** Opens a folder whose keys no passphrase protects. */
  public static KeyFolder open(Path folder) {
    return open(folder, null);
  }

  /**
   * Opens a folder and reads its current key.
   *
   * @param passphrase copied, and the copy wiped on close; null for none
   * @throws InvalidInputException if there is no key, as {@link ClientKey#load(Path, char[])}, or
   *     if a rotation of the keys was interrupted while it exchanged them
   */
  public static KeyFolder open(Path folder, char[] passphrase) {
    if (Files.isRegularFile(folder)) {
      throw new InvalidInputException(
          folder + " is a file: give the folder of keys that keygen wrote");
    }
    KeyRotation.requireNotHalfDone(folder);
    return new KeyFolder(folder, passphrase);
  }

  /** The folder, where evaluation keys are too. */
  public Path path() {
    return folder;
  }

  /** The key for new data. */
  public ClientKey current() {
    return current;
  }

  /**
   * The key that a block names, current or retired.
   *
   * @param id in hexadecimal, as blocks and {@link ClientKey#id} give it
   * @throws InvalidInputException naming the keys that are there, if it is none of them
   */
  public synchronized ClientKey byId(String id) {
    if (id.equals(current.id())) {
      return current;
    }
    Path file = folder.resolve(RETIRED).resolve(id + RETIRED_ENDING);
    // The id comes from data: no other path may be made of it.
    if (!ID.matcher(id).matches() || !Files.exists(file)) {
      throw new InvalidInputException(
          folder
              + ": there is no key "
              + id
              + ", which these data were encrypted under; the current key is "
              + current.id()
              + retiredList());
    }
    return retired.computeIfAbsent(id, name -> loadRetired(name, file));
  }

  private ClientKey loadRetired(String id, Path file) {
    ClientKey key = ClientKey.load(file, passphrase);
    if (!key.id().equals(id)) {
      String found = key.id();
      key.close();
      throw new InvalidInputException(
          file + ": holds key " + found + ": name it " + found + RETIRED_ENDING);
    }
    return key;
  }

  private String retiredList() {
    List<String> ids = retiredIds();
    return ids.isEmpty() ? ", and none is retired" : ", retired are " + String.join(", ", ids);
  }

  /**
   * Ids of the retired keys, sorted; none if no key was rotated.
   *
   * @throws InvalidInputException if they cannot be listed
   */
  public List<String> retiredIds() {
    Path directory = folder.resolve(RETIRED);
    if (!Files.isDirectory(directory)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(directory)) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.endsWith(RETIRED_ENDING))
          .map(name -> name.substring(0, name.length() - RETIRED_ENDING.length()))
          .filter(name -> ID.matcher(name).matches())
          .sorted()
          .toList();
    } catch (IOException error) {
      throw new InvalidInputException(directory + ": cannot be read: " + error.getMessage(), error);
    }
  }

  @Override
  public synchronized void close() {
    if (passphrase != null) {
      Arrays.fill(passphrase, '\0');
    }
    retired.values().forEach(ClientKey::close);
    current.close();
  }
}
