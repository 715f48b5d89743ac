package org.fhespark.jobs.client;

import java.io.IOException;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleConsumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.EvaluationKeySpec;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.EvaluationKey;
import org.fhespark.nativelib.EvaluationParameters;

/**
 * The evaluation keys of a model in a folder, a file for each that its circuits need. They hold no
 * secret, but belong to one client key.
 *
 * @param files in the order of the model's specs
 */
public record EvaluationKeyFiles(List<Checked> files) {
  private static final Pattern NAME = Pattern.compile("evaluation(\\.\\d+)?\\.key");

  /**
   * A file that was found whole.
   *
   * @param file where it is
   * @param keyId id of the client key it belongs to, in hexadecimal
   * @param parameters of the circuits that it is for
   * @param digest SHA-256, in hexadecimal
   * @param bytes its length
   */
  public record Checked(
      Path file, String keyId, EvaluationParameters parameters, String digest, long bytes) {}

  /**
   * Finds and checks those in a folder, or a single one.
   *
   * @throws InvalidInputException naming the file that is missing or damaged
   */
  public static EvaluationKeyFiles find(Path fileOrFolder) {
    List<Path> found = List.of(fileOrFolder);
    if (Files.isDirectory(fileOrFolder)) {
      try (Stream<Path> inside = Files.list(fileOrFolder)) {
        found =
            inside
                .filter(file -> NAME.matcher(file.getFileName().toString()).matches())
                .sorted()
                .toList();
      } catch (IOException error) {
        throw new InvalidInputException(
            fileOrFolder + ": cannot be read: " + error.getMessage(), error);
      }
    }
    String wayOut = "; give a file or folder that keygen wrote";
    if (found.isEmpty()) {
      throw new InvalidInputException(fileOrFolder + ": holds no evaluation key" + wayOut);
    }
    return new EvaluationKeyFiles(found.stream().map(file -> check(file, wayOut, wayOut)).toList());
  }

  /** The name of a model's first, usually only, evaluation key, and of further ones. */
  static String name(int index) {
    return index == 0 ? "evaluation.key" : "evaluation." + (index + 1) + ".key";
  }

  /**
   * Checks that a folder has no file yet that {@link #write} would write.
   *
   * @throws InvalidInputException naming the one that is there
   */
  static void requireNone(List<EvaluationKeySpec> specs, Path folder) {
    for (int index = 0; index < specs.size(); index++) {
      requireAbsent(folder.resolve(name(index)));
    }
  }

  /**
   * Checks that a key is not there yet.
   *
   * @throws InvalidInputException if it is
   */
  static void requireAbsent(Path file) {
    if (Files.exists(file)) {
      throw exists(file);
    }
  }

  private static InvalidInputException exists(Path file) {
    return new InvalidInputException(
        file + ": exists, and keys are never overwritten: move it away or choose another folder");
  }

  /**
   * Makes those of a client key and writes them, each under another name first.
   *
   * @param progress is given the share that is done, up to 1
   * @return the files
   * @throws InvalidInputException if a file is there, or cannot be written
   */
  static List<Path> write(
      List<EvaluationKeySpec> specs,
      ClientKey key,
      Path folder,
      int threads,
      DoubleConsumer progress) {
    requireNone(specs, folder);
    double all = specs.stream().mapToLong(spec -> spec.keyParameters().evaluationKeyBytes()).sum();
    double done = 0;
    List<Path> files = new ArrayList<>();
    for (int index = 0; index < specs.size(); index++) {
      EvaluationKeySpec spec = specs.get(index);
      double before = done / all;
      double share = spec.keyParameters().evaluationKeyBytes() / all;
      byte[] bytes = make(spec, key, threads, part -> progress.accept(before + share * part));
      done += bytes.length;
      files.add(write(folder.resolve(name(index)), bytes));
    }
    return files;
  }

  private static byte[] make(
      EvaluationKeySpec spec, ClientKey key, int threads, DoubleConsumer progress) {
    return spec.leveled() != null
        ? key.evaluationKey(spec.leveled(), threads, progress)
        : key.evaluationKey(spec.parameters(), spec.secretKeyShape(), threads, progress);
  }

  /** Writes a file whole or not at all. */
  static Path write(Path file, byte[] bytes) {
    try {
      Files.createDirectories(file.getParent());
      Path partial = Files.createTempFile(file.getParent(), "." + file.getFileName(), ".partial");
      try {
        Files.write(partial, bytes);
        // A hard link fails where a move would replace a key that was made meanwhile.
        Files.createLink(file, partial);
      } catch (FileAlreadyExistsException error) {
        throw exists(file);
      } finally {
        Files.deleteIfExists(partial);
      }
      return file;
    } catch (IOException error) {
      throw new InvalidInputException(file + ": cannot be written: " + error.getMessage(), error);
    }
  }

  /**
   * Finds and checks those of a model.
   *
   * @throws InvalidInputException naming the file that is missing, damaged, of another client key
   *     or of other parameters
   */
  static EvaluationKeyFiles open(
      List<EvaluationKeySpec> specs, ClientKey key, Path folder, org.apache.hadoop.fs.Path client) {
    List<Checked> files = new ArrayList<>();
    String make =
        "make it with keygen --evaluation-keys-only --client " + client + " --out " + folder;
    String wayOut = "; move it away and " + make;
    for (int index = 0; index < specs.size(); index++) {
      Path file = folder.resolve(name(index));
      Checked found = check(file, "; " + make, wayOut);
      if (!found.keyId().equals(key.id())) {
        throw new InvalidInputException(
            file
                + ": belongs to client key "
                + found.keyId()
                + ", and the client's is "
                + key.id()
                + wayOut);
      }
      if (!found.parameters().serves(specs.get(index).keyParameters())) {
        throw new InvalidInputException(
            file + ": its parameters are not those of this model" + wayOut);
      }
      files.add(found);
    }
    return new EvaluationKeyFiles(files);
  }

  /**
   * @param makeIt what to do if there is no file
   * @param replaceIt what to do if it cannot be used
   */
  private static Checked check(Path file, String makeIt, String replaceIt) {
    try (FileChannel channel = FileChannel.open(file)) {
      long bytes = channel.size();
      if (bytes > Integer.MAX_VALUE) {
        throw new InvalidInputException(bytes + " bytes are no evaluation key");
      }
      MappedByteBuffer mapped = channel.map(MapMode.READ_ONLY, 0, bytes);
      EvaluationKey.Description found = EvaluationKey.describe(mapped);
      return new Checked(file, found.keyId(), found.parameters(), found.digest().hex(), bytes);
    } catch (NoSuchFileException error) {
      throw new InvalidInputException(
          file + ": there is no evaluation key, which this model needs" + makeIt, error);
    } catch (IOException error) {
      throw new InvalidInputException(file + ": cannot be read: " + error.getMessage(), error);
    } catch (InvalidInputException error) {
      throw new InvalidInputException(file + ": " + error.getMessage() + replaceIt, error);
    }
  }

  /** The file for a circuit's parameters. */
  Checked of(EvaluationParameters parameters) {
    return files.stream()
        .filter(each -> each.parameters().serves(parameters))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidInputException(
                    "client.json lists no evaluation key of the parameters "
                        + parameters
                        + "; compile the model again"));
  }
}
