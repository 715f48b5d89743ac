package org.fhespark.compiler.artifact;

import java.io.IOException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.compiler.storage.Sha256;

/** What the data owner gets of a compiled model: specs and clear segments, no remote weight. */
public final class ClientArtifact {
  static final String SPECS = "client.json";

  private final Path folder;
  private final String id;
  private final ClientSpecs specs;
  private final Map<String, byte[]> segments;

  private ClientArtifact(Path folder, String id, ClientSpecs specs, Map<String, byte[]> segments) {
    this.folder = folder;
    this.id = id;
    this.specs = specs;
    this.segments = segments;
  }

  /**
   * Writes an artefact into a new folder.
   *
   * @param segments the segments' ONNX models by the files that the specs name
   * @throws IOException if a file cannot be written, or is there already
   */
  public static void write(
      FileStore files, Path folder, ClientSpecs specs, Map<String, byte[]> segments)
      throws IOException {
    Map<String, byte[]> contents = new LinkedHashMap<>(segments);
    contents.put(SPECS, ArtifactJson.write(specs));
    ArtifactFolder.write(files, folder, contents);
  }

  /**
   * Reads an artefact and checks every file against its manifest.
   *
   * @throws InvalidInputException if a file is missing, truncated, altered or of another version,
   *     or the specs are not whole
   * @throws IOException if the file system fails
   */
  public static ClientArtifact load(Path folder, Configuration configuration) throws IOException {
    ArtifactFolder verified = ArtifactFolder.open(folder, "client", configuration);
    byte[] json = verified.read(SPECS);
    ClientSpecs specs = ArtifactJson.read(verified.path(SPECS).toString(), json, ClientSpecs.class);
    specs.requireComplete(verified.path(SPECS).toString());
    Map<String, byte[]> segments = new LinkedHashMap<>();
    for (SegmentSpec segment : specs.segments()) {
      segments.put(segment.file(), verified.read(segment.file()));
    }
    return new ClientArtifact(folder, Sha256.hexOf(json), specs, segments);
  }

  /** SHA-256 of client.json, in hexadecimal: what keys record as the client they belong to. */
  public String id() {
    return id;
  }

  /** The 32 bytes of {@link #id()}. */
  public byte[] idBytes() {
    return HexFormat.of().parseHex(id);
  }

  /** Where it was read. */
  public Path folder() {
    return folder;
  }

  /** What its {@code client.json} says. */
  public ClientSpecs specs() {
    return specs;
  }

  /** The ONNX model of a segment. */
  public byte[] segmentModel(SegmentSpec segment) {
    return segments.get(segment.file()).clone();
  }
}
