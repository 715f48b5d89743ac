package org.fhespark.jobs.cli;

import java.net.URI;
import org.apache.hadoop.fs.Path;
import picocli.CommandLine;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.TypeConversionException;

/** Reads a path on any Hadoop file system. */
final class HadoopPathConverter implements ITypeConverter<Path> {
  /**
   * Reads what an option gives that takes other things than paths too.
   *
   * @throws ParameterException naming the option
   */
  static Path convert(CommandLine command, String option, String text) {
    try {
      return new HadoopPathConverter().convert(text);
    } catch (TypeConversionException error) {
      throw new ParameterException(
          command, "Invalid value for option '" + option + "': " + error.getMessage());
    }
  }

  @Override
  public Path convert(String text) {
    try {
      Path path = new Path(text);
      URI uri = path.toUri();
      boolean isEmpty = uri.getScheme() != null && uri.getAuthority() == null && path.isRoot();
      if (!isEmpty && !uri.getPath().isEmpty()) {
        return path;
      }
    } catch (IllegalArgumentException error) {
      // Reported below, like a scheme without a path.
    }
    throw new TypeConversionException(
        "'" + text + "' is not a path; write a local path or a URI such as hdfs://host/path");
  }
}
