package org.fhespark.jobs.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.storage.Sha256;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.nativelib.ClientKey;

/** A compiled model with a key that a test may damage. */
public record Artefacts(Path model, Path keys) {
  private static Path keysOfCompiled;

  /** The shared ones, which must stay whole. */
  static synchronized Artefacts shared() {
    SparkSession spark = Digits.session();
    Path compiled = Digits.compiled(spark);
    spark.stop();
    if (keysOfCompiled == null) {
      keysOfCompiled = newKeys(compiled);
    }
    return new Artefacts(compiled, keysOfCompiled);
  }

  static Path newKeys(Path model) {
    Path keys = Digits.newFolder("keys");
    HybridModel loaded = Digits.load(model);
    try (ClientKey key = loaded.newKey()) {
      key.save(keys.resolve("client.key"));
    }
    return keys;
  }

  Path client() {
    return model.resolve("client");
  }

  Path server() {
    return model.resolve("server");
  }

  /** A copy of its own. */
  public Artefacts copy() {
    Path folder = Digits.newFolder("copy");
    copy(model, folder.resolve("model"));
    copy(keys, folder.resolve("keys"));
    return new Artefacts(folder.resolve("model"), folder.resolve("keys"));
  }

  private static void copy(Path from, Path to) {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** Changes one byte in the middle of a file. */
  static void alter(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length / 2] ^= 4;
    Files.write(file, bytes);
  }

  /** Cuts a file in half. */
  static void truncate(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));
  }

  /** Replaces text, and makes the folder's manifest right again. */
  public static void rewrite(Path folder, String file, String pattern, String replacement)
      throws IOException {
    String before = Files.readString(folder.resolve(file));
    String after = before.replaceFirst(pattern, replacement);
    if (after.equals(before)) {
      throw new IllegalArgumentException(pattern + " is not in " + file);
    }
    Files.writeString(folder.resolve(file), after);
    TreeMap<String, String> sums = new TreeMap<>();
    try (Stream<Path> files = Files.walk(folder)) {
      List<Path> regular =
          files.filter(path -> Files.isRegularFile(path) && !path.endsWith("SHA256SUMS")).toList();
      for (Path each : regular) {
        sums.put(folder.relativize(each).toString(), Sha256.hexOf(Files.readAllBytes(each)));
      }
    }
    StringBuilder manifest = new StringBuilder();
    sums.forEach((name, sum) -> manifest.append(sum).append("  ").append(name).append('\n'));
    Files.writeString(folder.resolve("SHA256SUMS"), manifest, StandardCharsets.UTF_8);
  }
}
