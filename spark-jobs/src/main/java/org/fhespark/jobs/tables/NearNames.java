package org.fhespark.jobs.tables;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Names that a misspelt name may have meant. */
final class NearNames {
  private static final int MOST_EDITS = 2;
  private static final int MOST_SHOWN = 20;

  private NearNames() {}

  /** A clause that names the close matches, or else what there is to choose from. */
  static String hint(String wanted, List<String> present) {
    List<String> near = present.stream().filter(name -> isNear(wanted, name)).toList();
    if (!near.isEmpty()) {
      return "perhaps " + quoted(near) + " was meant";
    }
    return present.isEmpty() ? "there are no columns" : "the columns are " + quoted(present);
  }

  static String quoted(List<String> names) {
    String shown =
        names.stream()
            .limit(MOST_SHOWN)
            .map(name -> "'" + name + "'")
            .collect(Collectors.joining(", "));
    return names.size() <= MOST_SHOWN
        ? shown
        : shown + " and " + (names.size() - MOST_SHOWN) + " more";
  }

  private static boolean isNear(String wanted, String name) {
    String a = wanted.toLowerCase(Locale.ROOT);
    String b = name.toLowerCase(Locale.ROOT);
    // Two edits turn any name of two letters into any other.
    int allowed = Math.min(MOST_EDITS, Math.max(a.length(), b.length()) / 3);
    return Math.abs(a.length() - b.length()) <= allowed && edits(a, b) <= allowed;
  }

  /** Levenshtein distance. */
  private static int edits(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int replaced = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(replaced, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
  }
}
