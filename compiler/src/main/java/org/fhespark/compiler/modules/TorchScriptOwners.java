package org.fhespark.compiler.modules;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.affine.AffineRegions;
import org.fhespark.compiler.onnx.OnnxGraph;

/**
 * Which module each node of a TorchScript export belongs to.
 *
 * <p>Names of parameters decide where a node reads one; the nodes that share its path follow. The
 * other paths are matched to keys that parameters mention, and what is left is spelled out from the
 * path alone, so that a ModuleDict in between may be missing from such a key.
 */
final class TorchScriptOwners implements ModuleOwners {
  private final OnnxGraph graph;
  private final ParameterNames parameters;
  private final Map<Integer, AffineCall> products;
  private final ScopePath[] paths;
  private final String[] owners;
  private final Map<ScopePath, Set<String>> boundKeys = new HashMap<>();
  private final Set<String> calledKeys = new HashSet<>();
  private final Set<String> knownKeys = new LinkedHashSet<>();
  private final Map<ScopePath, String> resolved = new HashMap<>();
  private final Set<String> spelledOut = new HashSet<>();
  private final Set<ScopePath> allPaths = new HashSet<>();

  /**
   * Assigns every node.
   *
   * @param products matrix products and convolutions with their biases, by their first node
   */
  TorchScriptOwners(OnnxGraph graph, ParameterNames parameters, Map<Integer, AffineCall> products) {
    this.graph = graph;
    this.parameters = parameters;
    this.products = products;
    this.paths = new ScopePath[graph.nodeCount()];
    this.owners = new String[graph.nodeCount()];
    Arrays.setAll(paths, i -> ScopePath.of(graph.node(i)));
    allPaths.addAll(Arrays.asList(paths));
    for (String module : parameters.modules()) {
      for (String key = module; !key.isEmpty(); key = ScopePath.parentKey(key)) {
        knownKeys.add(key);
      }
    }
    anchorByParameters();
    mergeUnnamedCalls();
    for (int i = 0; i < owners.length; i++) {
      if (owners[i] == null) {
        owners[i] = resolve(paths[i]);
      }
    }
  }

  @Override
  public String owner(int node) {
    return owners[node];
  }

  @Override
  public ScopePath path(int node) {
    return paths[node];
  }

  @Override
  public boolean isSpelledOut(String key) {
    return spelledOut.contains(key);
  }

  private void anchorByParameters() {
    for (int i = 0; i < owners.length; i++) {
      anchor(i, List.of(i));
    }
    // The MatMul of a Linear has lost its weight's name; the Add of the bias has not.
    products
        .values()
        .forEach(call -> anchor(call.nodes().get(call.nodes().size() - 1), call.nodes()));
  }

  private void anchor(int reader, List<Integer> nodes) {
    ScopePath path = paths[reader];
    Set<String> candidates = parameters.modulesReadBy(reader);
    Optional<String> exact =
        candidates.stream().filter(key -> path.alignedTo(key).isPresent()).findFirst();
    if (exact.isPresent()) {
      bind(path, exact.get(), nodes);
      return;
    }
    path.firstCall()
        .ifPresent(
            first ->
                candidates.stream()
                    .filter(key -> first.alignedTo(key).isPresent())
                    .findFirst()
                    .ifPresent(
                        key -> {
                          bind(first, key, nodes);
                          boundKeys.computeIfAbsent(path, p -> new LinkedHashSet<>()).add(key);
                        }));
  }

  private void bind(ScopePath path, String key, List<Integer> nodes) {
    nodes.forEach(node -> owners[node] = key);
    List<String> keys = path.alignedTo(key).orElseThrow();
    ScopePath prefix = path;
    for (int i = keys.size() - 1; i >= 0; i--) {
      boundKeys.computeIfAbsent(prefix, p -> new LinkedHashSet<>()).add(keys.get(i));
      calledKeys.add(keys.get(i));
      prefix = prefix.parent();
    }
  }

  /**
   * Without a bias nothing but {@code _1} tells the second call of a Linear from a module of that
   * name; equal weights do.
   */
  private void mergeUnnamedCalls() {
    Map<ScopePath, AffineCall> byPath = new HashMap<>();
    products.forEach((node, call) -> byPath.putIfAbsent(paths[node], call));
    products.forEach(
        (node, call) -> {
          if (owners[node] != null) {
            return;
          }
          Optional<ScopePath> firstPath = paths[node].firstCall();
          AffineCall first = firstPath.map(byPath::get).orElse(null);
          boolean same = first != null && AffineRegions.areOneLayer(first, call);
          if (same) {
            String key = resolve(firstPath.get());
            call.nodes().forEach(i -> owners[i] = key);
          } else {
            // A module of its own, even though its path looks like a later call's.
            String key = resolveAsModule(paths[node]);
            call.nodes().forEach(i -> owners[i] = key);
          }
        });
  }

  private String resolve(ScopePath path) {
    String known = resolved.get(path);
    if (known == null) {
      known = doResolve(path);
      resolved.put(path, known);
    }
    return known;
  }

  private String doResolve(ScopePath path) {
    if (path.isRoot()) {
      return "";
    }
    Optional<String> bound = bound(path);
    if (bound.isPresent()) {
      return bound.get();
    }
    Optional<String> matching = matching(path);
    if (matching.isPresent()) {
      return matching.get();
    }
    Optional<ScopePath> first = path.firstCall();
    if (first.isPresent() && (allPaths.contains(first.get()) || bound(first.get()).isPresent())) {
      return resolve(first.get());
    }
    return spellOut(path);
  }

  private String resolveAsModule(ScopePath path) {
    if (path.isRoot()) {
      return "";
    }
    return bound(path).or(() -> matching(path)).orElseGet(() -> spellOut(path));
  }

  /** The key that parameters gave this path; of two, the one that needs no call index. */
  private Optional<String> bound(ScopePath path) {
    Set<String> keys = boundKeys.getOrDefault(path, Set.of());
    return keys.stream()
        .filter(key -> path.alignedTo(key).isPresent())
        .findFirst()
        .or(() -> keys.stream().findFirst());
  }

  /** The known key that fits with the fewest ancestors left out, none of which is ever called. */
  private Optional<String> matching(ScopePath path) {
    return knownKeys.stream()
        .filter(key -> path.alignedTo(key).isPresent() && leftOut(path, key) >= 0)
        .min(Comparator.comparingInt((String key) -> leftOut(path, key)));
  }

  private int leftOut(ScopePath path, String key) {
    List<String> ancestors = new ArrayList<>();
    for (String ancestor = key; !ancestor.isEmpty(); ancestor = ScopePath.parentKey(ancestor)) {
      ancestors.add(ancestor);
    }
    ancestors.removeAll(path.alignedTo(key).orElseThrow());
    return ancestors.stream().anyMatch(calledKeys::contains) ? -1 : ancestors.size();
  }

  private String spellOut(ScopePath path) {
    String key = path.keyUnder(resolve(path.parent()));
    spelledOut.add(key);
    return key;
  }
}
