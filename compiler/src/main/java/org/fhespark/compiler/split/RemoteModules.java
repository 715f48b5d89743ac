package org.fhespark.compiler.split;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.modules.ModuleInfo;
import org.fhespark.compiler.modules.ModuleKind;
import org.fhespark.compiler.modules.ModuleTree;

/** Looks up the modules that the user wants remote. */
public final class RemoteModules {
  private RemoteModules() {}

  /**
   * The modules with the given keys, in that order.
   *
   * @throws InvalidInputException if there is no key, a key is unknown or given twice, or a module
   *     cannot go remote
   */
  public static List<RemoteModule> find(ModuleTree tree, List<String> keys) {
    if (keys.isEmpty()) {
      throw new InvalidInputException(
          "no remote module was named; name at least one by its key (--remote KEY)");
    }
    List<RemoteModule> remote = new ArrayList<>();
    Set<String> seen = new HashSet<>();
    Map<Integer, String> keyByNode = new HashMap<>();
    for (String key : keys) {
      if (!seen.add(key)) {
        throw new InvalidInputException("module '" + key + "' is named twice; name it once");
      }
      ModuleInfo module = tree.find(key);
      if (!module.canGoRemote()) {
        throw new InvalidInputException(
            "module '" + key + "' cannot go remote: " + module.refusal() + wayOut(tree, module));
      }
      String other = keyByNode.putIfAbsent(module.calls().get(0).nodes().get(0), key);
      if (other != null) {
        throw new InvalidInputException(
            "'" + key + "' and '" + other + "' are the same module; name it once");
      }
      remote.add(new RemoteModule(key, module.calls()));
    }
    return remote;
  }

  private static String wayOut(ModuleTree tree, ModuleInfo module) {
    if (module.kind() != ModuleKind.CONTAINER) {
      return "";
    }
    List<String> below = tree.remotableBelow(module.key());
    return below.isEmpty()
        ? "; it holds none"
        : "; name its Linear modules instead: " + String.join(", ", below);
  }
}
