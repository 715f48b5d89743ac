package org.fhespark.jobs.client;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.fhespark.InvalidInputException;

/**
 * Replaces the keys of a folder by new ones and retires the old, so that no moment at which the
 * process may end loses a key or leaves one without its evaluation keys for good.
 *
 * <ol>
 *   <li>New keys are made in {@code .staging}, which becomes {@code next} when it is whole; until
 *       then nothing has happened.
 *   <li>The old files get second names (hard links) in {@code retired}.
 *   <li>{@code next/client.key} is renamed over {@code client.key}: from here the new key counts.
 *   <li>What belongs to it follows, and {@code next} goes.
 * </ol>
 *
 * <p>If {@code next} is there at the beginning, the rotation that made it is finished first.
 */
public final class KeyRotation implements AutoCloseable {
  private static final String STAGING = ".staging";
  private static final String NEXT = "next";
  private static final String LOCK = ".lock";

  /** Files beside the client key that belong to it and hold no secret. */
  private static final Pattern COMPANION = Pattern.compile("(evaluation(\\.\\d+)?|public)\\.key");

  private final Path folder;
  private final char[] passphrase;
  private final FileChannel channel;

  private KeyRotation(Path folder, char[] passphrase, FileChannel channel) {
    this.folder = folder;
    this.passphrase = passphrase;
    this.channel = channel;
  }

  /**
   * Begins one, alone in its folder.
   *
   * @param passphrase of the folder's keys, null for none; stays with the caller
   * @throws InvalidInputException if another process rotates these keys, or as {@link KeyFolder}
   */
  public static KeyRotation begin(Path folder, char[] passphrase) {
    if (!Files.exists(folder.resolve(KeyFolder.CLIENT_KEY))) {
      throw new InvalidInputException(
          folder + ": there is no " + KeyFolder.CLIENT_KEY + " to rotate: leave out --rotate");
    }
    Path lock = folder.resolve(LOCK);
    try {
      FileChannel channel =
          FileChannel.open(lock, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      if (!isLocked(channel)) {
        channel.close();
        throw new InvalidInputException(folder + ": another process is rotating these keys");
      }
      return new KeyRotation(folder, passphrase, channel);
    } catch (IOException error) {
      throw new InvalidInputException(lock + ": cannot be written: " + error.getMessage(), error);
    }
  }

  private static boolean isLocked(FileChannel channel) throws IOException {
    try {
      FileLock lock = channel.tryLock();
      return lock != null;
    } catch (OverlappingFileLockException error) {
      return false;
    }
  }

  /** Refuses a folder whose client key is new and whose other keys may still be the old ones. */
  static void requireNotHalfDone(Path folder) {
    Path next = folder.resolve(NEXT);
    if (Files.isDirectory(next) && !Files.exists(next.resolve(KeyFolder.CLIENT_KEY))) {
      throw new InvalidInputException(
          folder
              + ": a rotation of these keys is under way or was interrupted: run keygen --rotate to finish it");
    }
  }

  /** Finishes a rotation that was interrupted after its new keys were whole; false if none was. */
  public boolean finishInterrupted() {
    if (!Files.isDirectory(folder.resolve(NEXT))) {
      return false;
    }
    exchange();
    return true;
  }

  /** A new empty folder, for its owner only, where the caller writes the new keys. */
  public Path stage() {
    Path staging = folder.resolve(STAGING);
    try {
      remove(staging);
      return Files.createDirectory(
          staging,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (IOException error) {
      throw failed(error);
    }
  }

  /** Puts the staged keys into the place of the current ones, which are retired. */
  public void commit() {
    Path staging = folder.resolve(STAGING);
    try {
      for (Path file : files(staging)) {
        force(file);
      }
      force(staging);
      Files.move(staging, folder.resolve(NEXT), StandardCopyOption.ATOMIC_MOVE);
      force(folder);
    } catch (IOException error) {
      throw failed(error);
    }
    exchange();
  }

  /** Steps 2 to 4; each may have been done already. */
  private void exchange() {
    Path next = folder.resolve(NEXT);
    Path retired = folder.resolve(KeyFolder.RETIRED);
    Path newKey = next.resolve(KeyFolder.CLIENT_KEY);
    Path key = folder.resolve(KeyFolder.CLIENT_KEY);
    try {
      if (Files.exists(newKey)) {
        retire(retired);
        Files.move(newKey, key, StandardCopyOption.ATOMIC_MOVE);
        force(folder);
      }
      List<Path> retiredFiles = files(retired);
      for (Path file : files(folder)) {
        if (isCompanion(file) && isOneOf(file, retiredFiles)) {
          Files.delete(file);
        }
      }
      for (Path file : files(next)) {
        Files.move(
            file, folder.resolve(file.getFileName().toString()), StandardCopyOption.ATOMIC_MOVE);
      }
      Files.delete(next);
      force(folder);
    } catch (IOException error) {
      throw failed(error);
    }
  }

  private void retire(Path retired) throws IOException {
    String id;
    try (KeyFolder old = KeyFolder.open(folder, passphrase)) {
      id = old.current().id();
    }
    if (!Files.isDirectory(retired)) {
      Files.createDirectory(
          retired,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }
    for (Path file : files(folder)) {
      if (isCompanion(file)) {
        link(retired.resolve(id + "." + file.getFileName()), file);
      }
    }
    link(retired.resolve(id + ".key"), folder.resolve(KeyFolder.CLIENT_KEY));
    force(retired);
    force(folder);
  }

  private static void link(Path name, Path file) throws IOException {
    if (!Files.exists(name)) {
      Files.createLink(name, file);
    } else if (!Files.isSameFile(name, file)) {
      throw new InvalidInputException(
          name + ": exists and is not this key's: move it away, then run keygen --rotate again");
    }
  }

  private static boolean isCompanion(Path file) {
    return COMPANION.matcher(file.getFileName().toString()).matches();
  }

  private static boolean isOneOf(Path file, List<Path> others) throws IOException {
    for (Path other : others) {
      if (Files.isSameFile(file, other)) {
        return true;
      }
    }
    return false;
  }

  private static List<Path> files(Path directory) throws IOException {
    if (!Files.isDirectory(directory)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(directory)) {
      return files.filter(Files::isRegularFile).toList();
    }
  }

  private static void remove(Path directory) throws IOException {
    for (Path file : files(directory)) {
      Files.delete(file);
    }
    Files.deleteIfExists(directory);
  }

  /** Has the system write a file, or a directory's names, to the disk. */
  private static void force(Path path) throws IOException {
    try (FileChannel opened = FileChannel.open(path, StandardOpenOption.READ)) {
      opened.force(true);
    }
  }

  private InvalidInputException failed(IOException error) {
    return new InvalidInputException(
        folder + ": the keys cannot be exchanged: " + error.getMessage(), error);
  }

  /** Lets other processes in; keys that were staged and not committed go. */
  @Override
  public void close() {
    try (channel) {
      remove(folder.resolve(STAGING));
    } catch (IOException error) {
      throw failed(error);
    }
  }
}
