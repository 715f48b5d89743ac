package org.fhespark.compiler.artifact;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.compiler.storage.Sha256;

/**
 * A folder with a manifest of SHA-256 digests, which {@code sha256sum -c SHA256SUMS} can check too.
 * Nothing is read from it unchecked.
 */
final class ArtifactFolder {
  private static final String MANIFEST = "SHA256SUMS";
  private static final String MANIFEST_LINE = "[0-9a-f]{64}  [^/].*";
  private static final int DIGEST_LENGTH = 64;
  private static final int SEPARATOR_LENGTH = 2;

  private final Path folder;
  private final FileStore files;
  private final Map<String, String> digests;

  private ArtifactFolder(Path folder, FileStore files, Map<String, String> digests) {
    this.folder = folder;
    this.files = files;
    this.digests = digests;
  }

  /** Writes files, by their names relative to the folder, and the manifest. */
  static void write(FileStore store, Path folder, Map<String, byte[]> contents) throws IOException {
    StringBuilder manifest = new StringBuilder();
    for (Map.Entry<String, byte[]> file : new TreeMap<>(contents).entrySet()) {
      store.write(new Path(folder, file.getKey()), file.getValue());
      manifest
          .append(Sha256.hexOf(file.getValue()))
          .append("  ")
          .append(file.getKey())
          .append('\n');
    }
    store.write(new Path(folder, MANIFEST), manifest.toString().getBytes(StandardCharsets.UTF_8));
  }

  /**
   * Opens a folder.
   *
   * @param kind "client" or "server", for messages
   * @throws InvalidInputException if there is no such folder, it has no manifest, or the manifest
   *     lists a file that is missing
   */
  static ArtifactFolder open(Path folder, String kind, Configuration configuration)
      throws IOException {
    FileStore files = FileStore.of(folder, configuration);
    if (!files.isFolder(folder)) {
      throw new InvalidInputException(
          folder + ": no such folder; give the " + kind + " folder of a compiled model");
    }
    Path manifest = new Path(folder, MANIFEST);
    if (!files.exists(manifest) || !files.exists(new Path(folder, kind + ".json"))) {
      throw new InvalidInputException(
          folder
              + ": not the "
              + kind
              + " artefact of a compiled model ("
              + kind
              + ".json or "
              + MANIFEST
              + " is missing); give the folder '"
              + kind
              + "' in what compile wrote");
    }
    Map<String, String> digests = new LinkedHashMap<>();
    for (String line : new String(files.read(manifest), StandardCharsets.UTF_8).lines().toList()) {
      if (!line.matches(MANIFEST_LINE)) {
        throw new InvalidInputException(
            manifest + ": truncated or altered; copy the artefact again");
      }
      digests.put(
          line.substring(DIGEST_LENGTH + SEPARATOR_LENGTH), line.substring(0, DIGEST_LENGTH));
    }
    for (String name : digests.keySet()) {
      if (!files.exists(new Path(folder, name))) {
        throw new InvalidInputException(
            new Path(folder, name) + ": is missing; copy the artefact again");
      }
    }
    return new ArtifactFolder(folder, files, digests);
  }

  /**
   * A file's bytes.
   *
   * @throws InvalidInputException if the manifest does not list the file, or another content
   */
  byte[] read(String name) throws IOException {
    Path file = new Path(folder, name);
    String expected = digests.get(name);
    if (expected == null) {
      throw new InvalidInputException(
          file + ": " + MANIFEST + " does not list it; copy the artefact again");
    }
    byte[] bytes = files.read(file);
    if (!Sha256.hexOf(bytes).equals(expected)) {
      throw new InvalidInputException(
          file
              + ": truncated or altered (its SHA-256 is not that in "
              + MANIFEST
              + "); copy the artefact again");
    }
    return bytes;
  }

  /** A path inside the folder, for messages. */
  Path path(String name) {
    return new Path(folder, name);
  }
}
