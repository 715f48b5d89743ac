package org.fhespark.compiler.modules;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** The modules of a model as lines of a tree, children below their parents. */
public final class ModuleListing {
  private final ModuleTree tree;
  private final Map<String, List<ModuleInfo>> children = new LinkedHashMap<>();
  private final List<Row> rows = new ArrayList<>();

  /**
   * One module.
   *
   * @param label its key, behind the lines of the tree
   * @param kind its PyTorch class if the file tells; otherwise what it is, or its operators
   * @param parameters names and shapes of its own parameters
   * @param remote "yes", "yes, by look-ups", or "no" and why not, which is told once: of a module
   *     that is refused for what a module below it holds, "no, as" that module
   */
  public record Row(String label, String kind, String parameters, String remote) {}

  private ModuleListing(ModuleTree tree) {
    this.tree = tree;
    for (ModuleInfo module : tree.modules()) {
      children
          .computeIfAbsent(ScopePath.parentKey(module.key()), unused -> new ArrayList<>())
          .add(module);
    }
    ModuleInfo whole = tree.find(ModuleTree.WHOLE_MODEL);
    rows.add(new Row(whole.key(), "whole model", "", remote(whole)));
    addBelow("", "", true);
  }

  /** A line for the model itself, then one for each module of its tree, depth first. */
  public static List<Row> of(ModuleTree tree) {
    return List.copyOf(new ModuleListing(tree).rows);
  }

  private void addBelow(String parent, String margin, boolean top) {
    List<ModuleInfo> siblings = children.getOrDefault(parent, List.of());
    for (int i = 0; i < siblings.size(); i++) {
      ModuleInfo module = siblings.get(i);
      boolean last = i == siblings.size() - 1;
      String branch = top ? "" : last ? "└─ " : "├─ ";
      rows.add(
          new Row(
              margin + branch + module.key(), kind(module), parameters(module), remote(module)));
      addBelow(module.key(), top ? "" : margin + (last ? "   " : "│  "), false);
    }
  }

  private String remote(ModuleInfo module) {
    if (!module.canGoRemote()) {
      String parent = module.key().equals(ModuleTree.WHOLE_MODEL) ? "" : module.key();
      return children.getOrDefault(parent, List.of()).stream()
          .filter(child -> child.refusal().equals(module.refusal()))
          .findFirst()
          .map(child -> "no, as " + child.key())
          .orElse("no: " + module.refusal());
    }
    return module.lookups().isEmpty() ? "yes" : "yes, by look-ups";
  }

  private String kind(ModuleInfo module) {
    return tree.className(module.key())
        .orElseGet(
            () ->
                switch (module.kind()) {
                  case LINEAR -> "Linear";
                  case CONTAINER -> "container";
                  default -> String.join(", ", module.operators());
                });
  }

  private static String parameters(ModuleInfo module) {
    return module.parameters().entrySet().stream()
        .map(
            parameter ->
                parameter.getKey().substring(parameter.getKey().lastIndexOf('.') + 1)
                    + " "
                    + parameter.getValue())
        .collect(Collectors.joining(", "));
  }
}
