package org.fhespark.compiler.split;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.affine.RemotePart;
import org.fhespark.compiler.modules.ModuleInfo;
import org.fhespark.compiler.modules.ModuleKind;
import org.fhespark.compiler.modules.ModulePattern;
import org.fhespark.compiler.modules.ModuleTree;

/** Looks up the modules that the user wants remote. */
public final class RemoteModules {
  private RemoteModules() {}

  /**
   * The modules with the given keys, in that order.
   *
   * @param keys keys, keys joined to one module ({@link ModuleTree#JOIN}), or patterns ({@link
   *     ModulePattern}); those that fit a pattern are in the order of the graph
   * @throws InvalidInputException if there is no key, a key is unknown or given twice, no module
   *     fits a pattern, or a module cannot go remote
   */
  public static List<RemoteModule> find(ModuleTree tree, List<String> keys) {
    if (keys.isEmpty()) {
      throw new InvalidInputException(
          "no remote module was named; name at least one by its key (--remote KEY)");
    }
    List<RemoteModule> remote = new ArrayList<>();
    Set<String> seen = new HashSet<>();
    Map<Integer, String> keyByNode = new HashMap<>();
    for (Named named : keys.stream().flatMap(key -> expand(tree, key).stream()).toList()) {
      String key = named.key();
      if (!seen.add(key)) {
        throw new InvalidInputException("module '" + key + "' is named twice; name it once");
      }
      ModuleInfo module = tree.find(key);
      if (!module.canGoRemote()) {
        throw new InvalidInputException(
            "module '"
                + key
                + "' cannot go remote: "
                + module.refusal()
                + wayOut(tree, module, named.pattern()));
      }
      for (RemotePart call : module.parts()) {
        for (int node : call.computingNodes()) {
          String other = keyByNode.putIfAbsent(node, key);
          if (other != null && !other.equals(key)) {
            throw new InvalidInputException(overlap(tree, key, other));
          }
        }
      }
      remote.add(new RemoteModule(key, module.calls(), module.lookups()));
    }
    return remote;
  }

  /**
   * A module that was asked for.
   *
   * @param pattern what the user wrote: its key, or a pattern that it fits
   */
  private record Named(String key, String pattern) {}

  private static List<Named> expand(ModuleTree tree, String key) {
    ModulePattern pattern = new ModulePattern(key);
    if (!pattern.hasWildcard()) {
      return List.of(new Named(key, key));
    }
    if (key.contains(ModuleTree.JOIN)) {
      throw new InvalidInputException(
          "'" + key + "' joins modules by patterns; name those that are joined without *");
    }
    List<Named> fitting =
        fitting(tree, pattern).map(module -> new Named(module.key(), key)).toList();
    if (fitting.isEmpty()) {
      throw new InvalidInputException(
          "no module fits '"
              + key
              + "', in which * stands for any characters but dots; `fhe-spark modules` shows the"
              + " keys");
    }
    return fitting;
  }

  private static Stream<ModuleInfo> fitting(ModuleTree tree, ModulePattern pattern) {
    return tree.modules().stream().filter(module -> pattern.fits(module.key()));
  }

  private static String overlap(ModuleTree tree, String key, String other) {
    boolean nested = key.startsWith(other + ".") || other.startsWith(key + ".");
    return nested && !sameNodes(tree.find(key), tree.find(other))
        ? "module '"
            + (key.length() < other.length() ? key : other)
            + "' holds '"
            + (key.length() < other.length() ? other : key)
            + "'; name one of them"
        : "'" + key + "' and '" + other + "' are the same module; name it once";
  }

  private static boolean sameNodes(ModuleInfo a, ModuleInfo b) {
    return a.parts().get(0).computingNodes().equals(b.parts().get(0).computingNodes());
  }

  private static String wayOut(ModuleTree tree, ModuleInfo module, String pattern) {
    if (!module.key().equals(pattern)) {
      List<String> others =
          fitting(tree, new ModulePattern(pattern))
              .filter(ModuleInfo::canGoRemote)
              .map(ModuleInfo::key)
              .toList();
      if (!others.isEmpty()) {
        return "; it fits '" + pattern + "': name those that can: " + String.join(", ", others);
      }
    }
    if (module.kind() != ModuleKind.CONTAINER) {
      return "";
    }
    List<String> below = tree.remotableBelow(module.key());
    List<String> lookups = tree.lookupsBelow(module.key());
    return (below.isEmpty()
            ? "; it holds no linear module"
            : "; name its linear modules instead: " + String.join(", ", below))
        + (lookups.isEmpty()
            ? ""
            : "; or, with their non-linearities: " + String.join(", ", lookups));
  }
}
