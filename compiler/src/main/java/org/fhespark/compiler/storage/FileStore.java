package org.fhespark.compiler.storage;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;
import org.fhespark.InvalidInputException;

/**
 * Whole files on a Hadoop file system, without the .crc files of Hadoop's local one. Methods throw
 * {@link IOException} where the file system fails or refuses.
 */
public final class FileStore {
  private final FileSystem fileSystem;

  private FileStore(FileSystem fileSystem) {
    this.fileSystem = fileSystem;
  }

  /**
   * The file system that holds {@code path}.
   *
   * @throws InvalidInputException if the configuration knows no file system for the path's scheme,
   *     or there is no such host
   */
  public static FileStore of(Path path, Configuration configuration) throws IOException {
    FileSystem fileSystem;
    try {
      fileSystem = path.getFileSystem(configuration);
    } catch (UnsupportedFileSystemException e) {
      throw new InvalidInputException(
          path + ": no file system is configured for this scheme; check the path", e);
    } catch (IllegalArgumentException e) {
      // Hadoop's answer to a host that does not exist.
      throw UnusablePath.reading(path, e);
    }
    return new FileStore(
        fileSystem instanceof LocalFileSystem local ? local.getRawFileSystem() : fileSystem);
  }

  /**
   * All bytes of a file.
   *
   * @throws InvalidInputException if there is no such file, it is a folder, or it holds 2 GiB or
   *     more
   */
  public byte[] read(Path file) throws IOException {
    FileStatus status;
    try {
      status = fileSystem.getFileStatus(file);
    } catch (FileNotFoundException e) {
      throw new InvalidInputException(file + ": no such file; check the path", e);
    }
    if (status.isDirectory()) {
      throw new InvalidInputException(file + ": is a folder, expected a file");
    }
    if (status.getLen() > Integer.MAX_VALUE - 8) {
      throw new InvalidInputException(
          file + ": holds " + status.getLen() + " bytes, files of 2 GiB or more cannot be read");
    }
    try (InputStream in = fileSystem.open(file)) {
      return in.readAllBytes();
    }
  }

  /**
   * Some bytes of a file.
   *
   * @throws java.io.EOFException if the file ends before them
   */
  public byte[] read(Path file, long offset, int length) throws IOException {
    byte[] bytes = new byte[length];
    try (FSDataInputStream in = fileSystem.open(file)) {
      in.readFully(offset, bytes);
    }
    return bytes;
  }

  /**
   * How many bytes a file holds.
   *
   * @throws FileNotFoundException if there is none
   */
  public long length(Path file) throws IOException {
    return fileSystem.getFileStatus(file).getLen();
  }

  /**
   * Writes a new file and the folders above it.
   *
   * @throws IOException if the file exists
   */
  public void write(Path file, byte[] bytes) throws IOException {
    try (OutputStream out = fileSystem.create(file, false)) {
      out.write(bytes);
    }
  }

  /** Whether a file or folder is there. */
  public boolean exists(Path path) throws IOException {
    return fileSystem.exists(path);
  }

  /** Whether a folder is there; false for a file, and for nothing. */
  public boolean isFolder(Path path) throws IOException {
    return fileSystem.exists(path) && fileSystem.getFileStatus(path).isDirectory();
  }

  /**
   * Names of what a folder holds, sorted.
   *
   * @throws FileNotFoundException if there is none
   */
  public List<String> names(Path folder) throws IOException {
    return Arrays.stream(fileSystem.listStatus(folder))
        .map(status -> status.getPath().getName())
        .sorted()
        .toList();
  }

  /** Deletes a file or a folder with all it holds; does nothing if there is none. */
  public void delete(Path path) throws IOException {
    if (fileSystem.exists(path) && !fileSystem.delete(path, true)) {
      throw new IOException(path + ": cannot be deleted");
    }
  }

  /**
   * Renames a file or folder to a path where nothing is, and makes the folders above it.
   *
   * @throws IOException if something is there, on file systems that tell
   */
  public void rename(Path from, Path to) throws IOException {
    Path parent = to.getParent();
    if (parent != null && !fileSystem.mkdirs(parent)) {
      throw new IOException(parent + ": cannot be made");
    }
    if (!fileSystem.rename(from, to)) {
      throw new IOException(from + ": cannot be renamed to " + to);
    }
  }
}
