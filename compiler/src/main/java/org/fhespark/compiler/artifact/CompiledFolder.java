package org.fhespark.compiler.artifact;

import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.compiler.storage.UnusablePath;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The folder of a compiled model: client/, server/ and the reports. It appears whole or not at all.
 */
public final class CompiledFolder {
  private static final Logger LOG = LoggerFactory.getLogger(CompiledFolder.class);

  /** The folder with the client's artefact. */
  public static final String CLIENT = "client";

  /** The folder with the server's artefact. */
  public static final String SERVER = "server";

  /** The report for programs. */
  public static final String REPORT_JSON = "report.json";

  /** The report for people. */
  public static final String REPORT_HTML = "report.html";

  private static final Set<String> OURS = Set.of(CLIENT, SERVER, REPORT_JSON, REPORT_HTML);

  private final Path folder;
  private final FileStore files;

  private CompiledFolder(Path folder, FileStore files) {
    this.folder = folder;
    this.files = files;
  }

  /** Writes the contents of the folder. */
  @FunctionalInterface
  public interface Contents {
    /** Writes into an empty folder, which gets its own name afterwards. */
    void writeTo(FileStore files, Path folder) throws IOException;
  }

  /**
   * A folder to write.
   *
   * @throws InvalidInputException if something that is no compiled model is there already, or no
   *     folder can be there
   */
  public static CompiledFolder at(Path out, Configuration configuration) {
    // Of a URI that ends in a slash, as java.nio gives them, a path has no name.
    Path folder = new Path(out.toString());
    try {
      FileStore files = FileStore.of(folder, configuration);
      requireReplaceable(folder, files);
      return new CompiledFolder(folder, files);
    } catch (IOException e) {
      throw UnusablePath.writing(folder, e);
    }
  }

  private static void requireReplaceable(Path folder, FileStore files) throws IOException {
    for (Path above = folder.getParent(); above != null; above = above.getParent()) {
      if (files.exists(above)) {
        if (!files.isFolder(above)) {
          throw new InvalidInputException(
              folder + ": " + above + " is a file; give a folder whose parent is one");
        }
        break;
      }
    }
    if (!files.exists(folder)) {
      return;
    }
    if (!files.isFolder(folder)) {
      throw new InvalidInputException(folder + ": is a file; give a new folder");
    }
    List<String> names = files.names(folder);
    if (!OURS.containsAll(names)) {
      throw new InvalidInputException(
          folder
              + ": holds '"
              + names.stream().filter(name -> !OURS.contains(name)).findFirst().orElseThrow()
              + "', which is no part of a compiled model; give a new or empty folder");
    }
  }

  /**
   * Writes under a temporary name, then puts the folder in place of what was there.
   *
   * @throws InvalidInputException if the file system refuses; what was there is there again
   */
  public void replace(Contents contents) {
    Path temporary = beside(".tmp-");
    try {
      contents.writeTo(files, temporary);
      swapIn(temporary);
    } catch (IOException | FSError e) {
      throw UnusablePath.writing(folder, e);
    } finally {
      deleteLeftOver(temporary);
    }
  }

  private void swapIn(Path temporary) throws IOException {
    if (!files.exists(folder)) {
      files.rename(temporary, folder);
      return;
    }
    Path old = beside(".old-");
    files.rename(folder, old);
    try {
      files.rename(temporary, folder);
    } catch (IOException e) {
      try {
        files.rename(old, folder);
      } catch (IOException again) {
        again.addSuppressed(e);
        throw new IOException("what was there is now " + old, again);
      }
      throw e;
    }
    deleteLeftOver(old);
  }

  /** Neither success nor the reason of a failure is to be lost over a folder that stays. */
  private void deleteLeftOver(Path path) {
    try {
      files.delete(path);
    } catch (IOException e) {
      LOG.warn("{} is left over and can be deleted: {}", path, e.getMessage());
    }
  }

  private Path beside(String mark) {
    String suffix = mark + Integer.toHexString(ThreadLocalRandom.current().nextInt());
    return new Path(folder.getParent(), folder.getName() + suffix);
  }
}
