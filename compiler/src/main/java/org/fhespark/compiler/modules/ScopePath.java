package org.fhespark.compiler.modules;

import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The chain of called modules around a node. The TorchScript exporter writes it into the node's
 * name: {@code /layer1/layer1.0/conv1/Conv} is layer1, layer1.0, conv1; the Dynamo exporter's
 * {@link ModuleScopes} say the same in full keys.
 *
 * <p>A component is the shortest suffix of a module's key that starts at an atom that is no number.
 * Modules that are never called (ModuleList, ModuleDict) have none, and the last component carries
 * {@code _1} when the module is called a second time.
 *
 * @param components the components, outermost first; empty for the model itself
 */
record ScopePath(List<String> components) {
  private static final Pattern CALL_INDEX = Pattern.compile("(.+)_[1-9][0-9]*");

  ScopePath {
    components = List.copyOf(components);
  }

  static ScopePath of(NodeProto node) {
    return ModuleScopes.of(node).map(ModuleScopes::path).orElseGet(() -> ofName(node.getName()));
  }

  /** The path of modules with these keys, outermost first. */
  static ScopePath ofKeys(List<String> keys) {
    return new ScopePath(keys.stream().map(ScopePath::component).toList());
  }

  private static ScopePath ofName(String name) {
    if (!name.startsWith("/")) {
      return new ScopePath(List.of());
    }
    List<String> parts = List.of(name.substring(1).split("/"));
    return new ScopePath(parts.subList(0, parts.size() - 1));
  }

  boolean isRoot() {
    return components.isEmpty();
  }

  ScopePath parent() {
    return new ScopePath(components.subList(0, components.size() - 1));
  }

  String leaf() {
    return components.get(components.size() - 1);
  }

  /** The path of the first call, if the last component looks like that of a later one. */
  Optional<ScopePath> firstCall() {
    if (isRoot()) {
      return Optional.empty();
    }
    Matcher matcher = CALL_INDEX.matcher(leaf());
    if (!matcher.matches()) {
      return Optional.empty();
    }
    List<String> first = new ArrayList<>(parent().components);
    first.add(matcher.group(1));
    return Optional.of(new ScopePath(first));
  }

  /**
   * The keys of this path's modules if the last one is {@code key}: its own and its ancestors' that
   * the components name, outermost first; empty if {@code key} cannot have this path.
   */
  Optional<List<String>> alignedTo(String key) {
    if (isRoot() || !leaf().equals(component(key))) {
      return Optional.empty();
    }
    List<String> keys = new ArrayList<>(List.of(key));
    String ancestor = key;
    for (int i = components.size() - 2; i >= 0; i--) {
      do {
        ancestor = parentKey(ancestor);
        if (ancestor.isEmpty()) {
          return Optional.empty();
        }
      } while (!components.get(i).equals(component(ancestor)));
      keys.add(0, ancestor);
    }
    return Optional.of(keys);
  }

  /**
   * The key of a module with this last component whose closest called ancestor has the given key.
   */
  String keyUnder(String parentKey) {
    if (parentKey.isEmpty()) {
      return leaf();
    }
    String prefix = component(parentKey) + ".";
    return leaf().startsWith(prefix)
        ? parentKey + "." + leaf().substring(prefix.length())
        : parentKey + "." + leaf();
  }

  /** Shortest suffix of a key that starts at an atom that is no number; else the whole key. */
  static String component(String key) {
    int end = key.length();
    while (end > 0) {
      int start = key.lastIndexOf('.', end - 1) + 1;
      if (!key.substring(start, end).chars().allMatch(Character::isDigit)) {
        return key.substring(start);
      }
      end = start - 1;
    }
    return key;
  }

  /** The key without its last atom; empty for a child of the model. */
  static String parentKey(String key) {
    return key.contains(".") ? key.substring(0, key.lastIndexOf('.')) : "";
  }
}
