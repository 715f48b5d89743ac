package org.fhespark.nativelib;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import org.fhespark.InvalidInputException;

/**
 * Loads the native library, once per class loader, from the resource of this platform.
 *
 * <p>The library is unpacked to {@code -Dorg.fhespark.native.dir}, by default the JVM's temporary
 * directory, and deleted as soon as it is mapped.
 */
public final class NativeLibrary {
  /** System property: the directory the library is unpacked to. */
  public static final String DIRECTORY_PROPERTY = "org.fhespark.native.dir";

  private static final int ABI_VERSION = 14;
  private static final String FILE = "libfhe_jni.so";

  private static boolean isLoaded;

  private NativeLibrary() {}

  /**
   * Loads the library if it is not loaded yet.
   *
   * @throws InvalidInputException if this platform has no library, or it cannot be unpacked or
   *     mapped
   */
  public static synchronized void load() {
    if (isLoaded) {
      return;
    }
    String resource = platform() + "/" + FILE;
    Path file = unpack(resource);
    try {
      System.load(file.toString());
    } catch (UnsatisfiedLinkError error) {
      throw new InvalidInputException(
          "native library "
              + file
              + " cannot be loaded ("
              + error.getMessage()
              + "); if its directory is mounted noexec, set -D"
              + DIRECTORY_PROPERTY
              + " to another",
          error);
    } finally {
      // Linux keeps the mapping alive without the name.
      deleteQuietly(file);
    }
    int found = FheNative.abiVersion();
    if (found != ABI_VERSION) {
      throw new InvalidInputException(
          "native library has ABI version "
              + found
              + ", these classes need "
              + ABI_VERSION
              + ": rebuild both from one checkout");
    }
    isLoaded = true;
  }

  /** The kernel that evaluates circuits on this machine. */
  public static String kernelName() {
    load();
    return FheNative.kernelName();
  }

  /** Native objects that are open now, of all kinds. */
  public static long openHandles() {
    load();
    return FheNative.openHandles();
  }

  /** Whether it is loaded; nothing native exists before. */
  static synchronized boolean isLoaded() {
    return isLoaded;
  }

  private static String platform() {
    String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String arch = System.getProperty("os.arch");
    String platform = (os.contains("linux") ? "linux" : os) + "/" + architecture(arch);
    if (NativeLibrary.class.getResource(platform + "/" + FILE) == null) {
      throw new InvalidInputException(
          "no native library for "
              + os
              + " on "
              + arch
              + " in this jar: build it with `make native`");
    }
    return platform;
  }

  private static String architecture(String arch) {
    return switch (arch) {
      case "amd64", "x86_64" -> "x86_64";
      default -> arch;
    };
  }

  private static Path unpack(String resource) {
    Path directory =
        Path.of(System.getProperty(DIRECTORY_PROPERTY, System.getProperty("java.io.tmpdir")));
    Path file = null;
    try (InputStream library = NativeLibrary.class.getResourceAsStream(resource)) {
      Files.createDirectories(directory);
      file = Files.createTempFile(directory, "fhe-spark-", ".so");
      Files.copy(library, file, StandardCopyOption.REPLACE_EXISTING);
      return file;
    } catch (IOException error) {
      if (file != null) {
        deleteQuietly(file);
      }
      throw new InvalidInputException(
          "native library cannot be unpacked to "
              + directory
              + " ("
              + reason(error)
              + "): free some space there or set -D"
              + DIRECTORY_PROPERTY
              + " to another directory",
          error);
    }
  }

  private static String reason(IOException error) {
    String message = error.getMessage();
    return message == null ? error.getClass().getSimpleName() : message;
  }

  private static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException error) {
      // A leftover in a temporary directory; nothing the caller could do about it.
      file.toFile().deleteOnExit();
    }
  }
}
