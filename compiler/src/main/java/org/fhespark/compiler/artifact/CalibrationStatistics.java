package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.compiler.storage.UnusablePath;

/**
 * What a statistics file holds: all that compilation needs of the data owner's records.
 *
 * @param formatVersion {@link ArtifactJson#FORMAT_VERSION}
 * @param modelDigest SHA-256 of the ONNX model, in hexadecimal
 * @param paddingMask the model's input that said what is padding; null if none did
 * @param records that the model ran on
 * @param inputs of the rows that each remote call read
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record CalibrationStatistics(
    int formatVersion,
    String modelDigest,
    String paddingMask,
    long records,
    List<ActivationSummary> inputs) {
  public CalibrationStatistics {
    inputs = List.copyOf(inputs);
    if (modelDigest == null || records < 1) {
      throw new IllegalArgumentException("a model's digest and at least one record belong here");
    }
  }

  /** What it says of the rows that a call reads. */
  public Optional<ActivationSummary> of(String tensor, Optional<Unfolding> unfolding) {
    return inputs.stream()
        .filter(input -> input.tensor().equals(tensor))
        .filter(input -> Optional.ofNullable(input.unfolding()).equals(unfolding))
        .findFirst();
  }

  /**
   * Reads a file.
   *
   * @throws InvalidInputException if it is none that {@link #write} wrote, or cannot be read
   */
  public static CalibrationStatistics read(Path file, Configuration configuration) {
    try {
      byte[] bytes = FileStore.of(file, configuration).read(file);
      return ArtifactJson.read(
          file.toString(), bytes, CalibrationStatistics.class, "gather the statistics again");
    } catch (IOException error) {
      throw UnusablePath.reading(file, error);
    }
  }

  /**
   * Writes a file; it appears when it is complete.
   *
   * @param overwrite whether it may replace a file
   * @throws InvalidInputException if it cannot be written
   */
  public void write(Path file, boolean overwrite, Configuration configuration) {
    try {
      FileStore files = requireWritable(file, overwrite, configuration);
      String suffix = ".tmp-" + Integer.toHexString(ThreadLocalRandom.current().nextInt());
      Path temporary = new Path(file.getParent(), "." + file.getName() + suffix);
      try {
        files.write(temporary, ArtifactJson.write(this));
        files.delete(file);
        files.rename(temporary, file);
      } finally {
        files.delete(temporary);
      }
    } catch (IOException error) {
      throw UnusablePath.writing(file, error);
    }
  }

  /**
   * Checks, before the work, that a file may be written.
   *
   * @throws InvalidInputException if something is there that must stay
   */
  public static void requireFree(Path file, boolean overwrite, Configuration configuration) {
    try {
      requireWritable(file, overwrite, configuration);
    } catch (IOException error) {
      throw UnusablePath.writing(file, error);
    }
  }

  private static FileStore requireWritable(
      Path file, boolean overwrite, Configuration configuration) throws IOException {
    FileStore files = FileStore.of(file, configuration);
    if (files.isFolder(file)) {
      throw new InvalidInputException(file + ": is a folder; give a file for the statistics");
    }
    if (!overwrite && files.exists(file)) {
      throw new InvalidInputException(
          file + ": exists; give another file for the statistics, or --overwrite");
    }
    return files;
  }
}
