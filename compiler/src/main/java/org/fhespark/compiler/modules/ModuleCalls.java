package org.fhespark.compiler.modules;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.fhespark.compiler.affine.AffineRegions;
import org.fhespark.compiler.onnx.OnnxGraph;

/** Tells the calls of a module apart that the graph calls more than once. */
final class ModuleCalls {
  private ModuleCalls() {}

  /**
   * The nodes of each call. The path of nodes tells calls apart, and where it does not, that each
   * call multiplies by a weight once.
   *
   * @param key the module
   * @param nodes its own and those of the modules below it, in order
   */
  static List<List<Integer>> of(
      OnnxGraph graph,
      ModuleOwners owners,
      AffineRegions regions,
      String key,
      List<Integer> nodes) {
    Map<List<String>, List<Integer>> byScope =
        nodes.stream()
            .collect(
                Collectors.groupingBy(
                    node -> scope(owners, node, key), LinkedHashMap::new, Collectors.toList()));
    List<List<Integer>> calls = new ArrayList<>();
    for (List<Integer> sameScope : byScope.values()) {
      List<Integer> call = new ArrayList<>();
      Set<String> weights = new HashSet<>();
      for (int node : sameScope) {
        if (regions.isProduct(node) && !weights.add(source(graph, graph.node(node).getInput(1)))) {
          calls.add(call);
          call = new ArrayList<>();
          weights.clear();
          weights.add(source(graph, graph.node(node).getInput(1)));
        }
        call.add(node);
      }
      calls.add(call);
    }
    return calls;
  }

  /** The part of a node's path that leads to this call of the module. */
  private static List<String> scope(ModuleOwners owners, int node, String key) {
    List<String> components = owners.path(node).components();
    int depth = components.size();
    for (String at = owners.owner(node); !at.equals(key); at = ScopePath.parentKey(at)) {
      if (depth > 0 && isCallOf(components.get(depth - 1), ScopePath.component(at))) {
        depth--;
      }
    }
    return components.subList(0, depth);
  }

  private static boolean isCallOf(String component, String module) {
    return component.equals(module)
        || (component.startsWith(module + "_")
            && component.substring(module.length() + 1).chars().allMatch(Character::isDigit));
  }

  /** The constant behind copies of it. */
  private static String source(OnnxGraph graph, String tensor) {
    String at = tensor;
    while (graph.producer(at) >= 0
        && Set.of("Identity", "Transpose").contains(graph.node(graph.producer(at)).getOpType())) {
      at = graph.node(graph.producer(at)).getInput(0);
    }
    return at;
  }
}
