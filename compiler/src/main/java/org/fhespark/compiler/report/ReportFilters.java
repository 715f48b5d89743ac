package org.fhespark.compiler.report;

import io.pebbletemplates.pebble.extension.AbstractExtension;
import io.pebbletemplates.pebble.extension.Filter;
import io.pebbletemplates.pebble.template.EvaluationContext;
import io.pebbletemplates.pebble.template.PebbleTemplate;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.DoubleFunction;
import java.util.function.Function;
import java.util.stream.Collectors;

/** How the templates write numbers, shapes and long names; every filter gives text to escape. */
final class ReportFilters extends AbstractExtension {
  private static final int LONGEST_NAME = 48;

  /** Between a number and its unit: a space at which no line breaks. */
  private static final String NARROW = "\u202f";

  private record TextFilter(Function<Object, String> text) implements Filter {
    @Override
    public Object apply(
        Object input,
        Map<String, Object> arguments,
        PebbleTemplate self,
        EvaluationContext context,
        int lineNumber) {
      return text.apply(input);
    }

    @Override
    public List<String> getArgumentNames() {
      return List.of();
    }
  }

  @Override
  public Map<String, Filter> getFilters() {
    return Map.ofEntries(
        Map.entry("raw_value", new TextFilter(String::valueOf)),
        Map.entry("pixels", number(value -> format("%.1f", value))),
        Map.entry("count", number(value -> format("%,.0f", value))),
        Map.entry("tenths", number(value -> minus(format("%.1f", value)))),
        Map.entry("hundredths", number(value -> minus(format("%.2f", value)))),
        Map.entry("significant", number(value -> minus(significant(value)))),
        Map.entry("per_cent", number(value -> significant(100 * value))),
        Map.entry("percent", number(value -> significant(100 * value) + NARROW + "%")),
        Map.entry("bytes", number(ReportFilters::bytes)),
        Map.entry("duration", number(ReportFilters::duration)),
        Map.entry("shape", new TextFilter(shape -> shape((List<?>) shape))),
        Map.entry("shorten", new TextFilter(name -> shorten(String.valueOf(name)))));
  }

  private static Filter number(DoubleFunction<String> text) {
    return new TextFilter(input -> text.apply(((Number) input).doubleValue()));
  }

  private static String format(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }

  private static String minus(String number) {
    return number.replace('-', '\u2212');
  }

  /** Three significant digits, without exponent where that is short. */
  static String significant(double value) {
    if (value == 0 || !Double.isFinite(value)) {
      return value == 0 ? "0" : String.valueOf(value);
    }
    BigDecimal rounded = new BigDecimal(value).round(new MathContext(3)).stripTrailingZeros();
    return Math.abs(value) >= 1e-4 && Math.abs(value) < 1e7
        ? rounded.toPlainString()
        : format("%.2e", value);
  }

  /** Decimal units. */
  static String bytes(double bytes) {
    if (bytes < 1e3) {
      return significant(bytes) + NARROW + "B";
    }
    return bytes < 1e6
        ? significant(bytes / 1e3) + NARROW + "kB"
        : significant(bytes / 1e6) + NARROW + "MB";
  }

  /** Of nanoseconds. */
  static String duration(double nanoseconds) {
    if (nanoseconds < 1e3) {
      return significant(nanoseconds) + NARROW + "ns";
    }
    if (nanoseconds < 1e6) {
      return significant(nanoseconds / 1e3) + NARROW + "µs";
    }
    return nanoseconds < 1e9
        ? significant(nanoseconds / 1e6) + NARROW + "ms"
        : significant(nanoseconds / 1e9) + NARROW + "s";
  }

  /** Axes; the open ones as ?. */
  static String shape(List<?> axes) {
    return axes.stream()
        .map(axis -> ((Number) axis).longValue() < 0 ? "?" : axis.toString())
        .collect(Collectors.joining(" × ", "[", "]"));
  }

  /** A name with its middle left out if it is long: its end tells most. */
  static String shorten(String name) {
    return shorten(name, LONGEST_NAME);
  }

  static String shorten(String name, int longest) {
    int length = name.codePointCount(0, name.length());
    if (length <= longest) {
      return name;
    }
    int head = longest / 4;
    return name.substring(0, name.offsetByCodePoints(0, head))
        + "…"
        + name.substring(name.offsetByCodePoints(name.length(), -(longest - head - 1)));
  }
}
