package org.fhespark.connect;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.fhespark.InvalidInputException;

/** Where the jar of Spark's Connect client is: it cannot be on the class path. */
public final class ConnectLibrary {
  /** System property: a folder that has the jar. */
  public static final String FOLDER = "fhe.spark.connect.client";

  private static final String JAR = "spark-connect-client-jvm_2.13-4.1.*.jar";

  private ConnectLibrary() {}

  /**
   * Looks in the folder of the system property, beside our own jar, and in Spark's distribution.
   *
   * @throws InvalidInputException if it is in none of them
   */
  public static Path find() {
    List<Path> folders = new ArrayList<>();
    String named = System.getProperty(FOLDER);
    if (named != null) {
      folders.add(Path.of(named));
    }
    folders.add(ownLocation().resolveSibling("connect"));
    String sparkHome = System.getenv("SPARK_HOME");
    if (sparkHome != null) {
      folders.add(Path.of(sparkHome, "jars", "connect-repl"));
    }
    for (Path folder : folders) {
      if (Files.isDirectory(folder)) {
        try (DirectoryStream<Path> jars = Files.newDirectoryStream(folder, JAR)) {
          for (Path jar : jars) {
            return jar;
          }
        } catch (IOException error) {
          throw new InvalidInputException(
              folder + ": cannot be read: " + error.getMessage(), error);
        }
      }
    }
    throw new InvalidInputException(
        "mode remote needs Spark's Connect client, "
            + JAR
            + ", and none is in "
            + String.join(" or ", folders.stream().map(Path::toString).toList())
            + ": run `make build`, or name its folder with -D"
            + FOLDER);
  }

  private static Path ownLocation() {
    try {
      return Path.of(
          ConnectLibrary.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    } catch (URISyntaxException error) {
      throw new IllegalStateException("the place of our own jar is no path", error);
    }
  }
}
