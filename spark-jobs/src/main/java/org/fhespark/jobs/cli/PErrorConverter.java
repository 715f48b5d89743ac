package org.fhespark.jobs.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a probability as {@code 2^-40} or as a decimal number; gives its log2. */
final class PErrorConverter implements ITypeConverter<Double> {
  @Override
  public Double convert(String text) {
    try {
      double log2 =
          text.startsWith("2^")
              ? Double.parseDouble(text.substring(2))
              : Math.log(Double.parseDouble(text)) / Math.log(2);
      if (!Double.isNaN(log2)) {
        return log2;
      }
    } catch (NumberFormatException error) {
      // Reported below, like a negative number.
    }
    throw new TypeConversionException(
        "'" + text + "' is not a probability; write 2^-40 or a number below 1");
  }
}
