package org.fhespark.sql;

import java.util.Locale;
import java.util.Set;
import org.fhespark.InvalidInputException;

/** What circuits are called in SQL: the model's name and the remote module's key. */
final class FunctionNames {
  /** Functions of the catalog that are no circuits. */
  static final String DESCRIBE = "describe";

  static final String SUM = "sum";
  static final Set<String> RESERVED = Set.of(DESCRIBE, SUM);

  private FunctionNames() {}

  /**
   * Lower case, and {@code _} for every character that is no letter or digit of ASCII.
   *
   * @throws InvalidInputException if nothing is left of the name
   */
  static String model(String name) {
    String plain = plain(name);
    if (plain.replace("_", "").isEmpty()) {
      throw new InvalidInputException(
          "\"" + name + "\" is no name for a model: give one with letters or digits");
    }
    return plain;
  }

  /** Model {@code digits}, module {@code seq.0}: {@code digits_seq_0}; the whole model alone. */
  static String circuit(String model, String module) {
    String plain = plain(module);
    return plain.replace("_", "").isEmpty() ? model(model) : model(model) + "_" + plain;
  }

  private static String plain(String name) {
    return name.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]", "_");
  }
}
