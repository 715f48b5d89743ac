package org.fhespark.compiler.modules;

import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The chain of called modules that the Dynamo exporter writes into a node's metadata: {@code ['',
 * 'seq', 'seq.0', 'linear']} in {@code pkg.torch.onnx.name_scopes} is the model, seq and seq.0. The
 * last entry is no module but the traced operation.
 *
 * @param keys full keys, outermost first, without the model itself
 * @param classes names of their classes, as long as {@code keys}; empty if the file does not tell
 */
record ModuleScopes(List<String> keys, List<String> classes) {
  private static final String SCOPES = "pkg.torch.onnx.name_scopes";
  private static final String CLASSES = "pkg.torch.onnx.class_hierarchy";

  /** A string of a Python list as {@code repr} writes it. */
  private static final Pattern PYTHON_STRING =
      Pattern.compile("'((?:[^'\\\\]|\\\\.)*)'|\"((?:[^\"\\\\]|\\\\.)*)\"");

  ModuleScopes {
    keys = List.copyOf(keys);
    classes = List.copyOf(classes);
  }

  /** The scopes of a node; empty if it carries none, as some that an optimiser made. */
  static Optional<ModuleScopes> of(NodeProto node) {
    Optional<List<String>> scopes = metadata(node, SCOPES).map(ModuleScopes::strings);
    // What was not traced from the model's own code does not start at the model.
    if (scopes.isEmpty() || scopes.get().size() < 2 || !scopes.get().get(0).isEmpty()) {
      return Optional.empty();
    }
    int depth = scopes.get().size() - 1;
    List<String> keys = scopes.get().subList(1, depth);
    List<String> classes =
        metadata(node, CLASSES)
            .map(ModuleScopes::strings)
            .filter(names -> names.size() == depth + 1)
            .map(names -> names.subList(1, depth).stream().map(ModuleScopes::lastAtom).toList())
            .orElse(List.of());
    return Optional.of(new ModuleScopes(keys, classes));
  }

  /** The key of the module that made the node; empty for the model itself. */
  String owner() {
    return keys.isEmpty() ? "" : keys.get(keys.size() - 1);
  }

  /** The same as a path of components. */
  ScopePath path() {
    return ScopePath.ofKeys(keys);
  }

  private static Optional<String> metadata(NodeProto node, String key) {
    return node.getMetadataPropsList().stream()
        .filter(entry -> entry.getKey().equals(key))
        .map(StringStringEntryProto::getValue)
        .findFirst();
  }

  private static List<String> strings(String pythonList) {
    List<String> strings = new ArrayList<>();
    Matcher matcher = PYTHON_STRING.matcher(pythonList);
    while (matcher.find()) {
      String quoted = matcher.group(1) != null ? matcher.group(1) : matcher.group(2);
      strings.add(quoted.replaceAll("\\\\(.)", "$1"));
    }
    return strings;
  }

  private static String lastAtom(String qualifiedName) {
    return qualifiedName.substring(qualifiedName.lastIndexOf('.') + 1);
  }
}
