package org.fhespark.compiler.modules;

import java.util.Optional;
import java.util.Set;

/** Which module each node of an exported graph belongs to. */
interface ModuleOwners {
  /** The key of the module a node belongs to; empty for the model itself. */
  String owner(int node);

  /** The called modules around a node. */
  ScopePath path(int node);

  /** True if nothing confirms this key: ancestors that are never called may be missing from it. */
  boolean isSpelledOut(String key);

  /** Keys of modules that were called but may have no node left, for an exporter folded them. */
  default Set<String> calledModules() {
    return Set.of();
  }

  /** The layer that the exporter folded a module into, if the file tells. */
  default Optional<String> foldedInto(String key) {
    return Optional.empty();
  }

  /** The name of a module's PyTorch class, such as {@code Linear}, if the file tells. */
  default Optional<String> className(String key) {
    return Optional.empty();
  }
}
