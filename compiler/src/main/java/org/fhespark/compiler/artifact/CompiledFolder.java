package org.fhespark.compiler.artifact;

import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.FileStore;

/**
 * The folder of a compiled model: client/, server/ and the reports. It appears whole or not at all.
 */
public final class CompiledFolder {
  public static final String CLIENT = "client";
  public static final String SERVER = "server";
  public static final String REPORT_JSON = "report.json";
  private static final String REPORT_HTML = "report.html";
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
    void writeTo(FileStore files, Path folder) throws IOException;
  }

  /**
   * A folder to write.
   *
   * @throws InvalidInputException if something that is no compiled model is there already
   */
  public static CompiledFolder at(Path folder, Configuration configuration) throws IOException {
    FileStore files = FileStore.of(folder, configuration);
    if (files.exists(folder)) {
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
    return new CompiledFolder(folder, files);
  }

  /** Writes under a temporary name, then puts the folder in place of what was there. */
  public void replace(Contents contents) throws IOException {
    String suffix = ".tmp-" + Integer.toHexString(ThreadLocalRandom.current().nextInt());
    Path temporary = new Path(folder.getParent(), folder.getName() + suffix);
    try {
      contents.writeTo(files, temporary);
      files.delete(folder);
      files.rename(temporary, folder);
    } finally {
      files.delete(temporary);
    }
  }
}
