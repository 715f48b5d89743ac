package org.fhespark.jobs.cli;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;

/**
 * What is told of wrong usage: picocli's first line, or where that is about Java, the same as
 * command lines are written.
 */
final class UsageMessage {
  private UsageMessage() {}

  static String of(ParameterException error) {
    if (error instanceof MissingParameterException missing && isChoice(missing.getMissing())) {
      return "give "
          + missing.getMissing().stream()
              .map(UsageMessage::written)
              .collect(Collectors.joining(" or "));
    }
    if (error.getArgSpec() instanceof OptionSpec option
        && option.type().isEnum()
        && error.getValue() != null) {
      return "Invalid value for option '%s': expected one of %s but was '%s'"
          .formatted(option.longestName(), names(option.type()), error.getValue());
    }
    return error
        .getMessage()
        .replaceFirst("^Error: ", "")
        .lines()
        .findFirst()
        .orElse("wrong usage");
  }

  private static boolean isChoice(List<ArgSpec> missing) {
    return !missing.isEmpty()
        && missing.stream().allMatch(each -> each.group() != null && each.group().exclusive());
  }

  private static String written(ArgSpec argument) {
    return argument instanceof OptionSpec option
        ? option.longestName() + " " + option.paramLabel()
        : argument.paramLabel();
  }

  private static String names(Class<?> type) {
    return Arrays.stream(type.getEnumConstants())
        .map(constant -> constant.toString().toLowerCase(Locale.ROOT))
        .collect(Collectors.joining(", "));
  }
}
