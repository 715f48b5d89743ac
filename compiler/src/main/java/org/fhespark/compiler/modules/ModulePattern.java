package org.fhespark.compiler.modules;

import java.util.Arrays;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Keys of modules.
 *
 * @param text a key, in which {@code *} stands for any characters but dots
 */
public record ModulePattern(String text) {
  private static final String WILDCARD = "*";

  /** Whether it may fit several keys. */
  public boolean hasWildcard() {
    return text.contains(WILDCARD);
  }

  /** Whether a key fits. */
  public boolean fits(String key) {
    String expression =
        Arrays.stream(text.split(Pattern.quote(WILDCARD), -1))
            .map(Pattern::quote)
            .collect(Collectors.joining("[^.]*"));
    return Pattern.matches(expression, key);
  }
}
