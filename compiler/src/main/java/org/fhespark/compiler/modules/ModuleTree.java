package org.fhespark.compiler.modules;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.apache.commons.text.similarity.LevenshteinDistance;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/** The PyTorch modules of an ONNX model that leave nodes or parameters in it. */
public final class ModuleTree {
  private static final int NEAR_MATCHES = 3;
  private static final int LISTED_CHILDREN = 6;

  private final OnnxModel model;
  private final ModuleOwners owners;
  private final Map<String, ModuleInfo> modules = new LinkedHashMap<>();
  private final Map<Integer, LinearCall> linears = new LinkedHashMap<>();

  private ModuleTree(OnnxModel model, ParameterNames parameters) {
    this.model = model;
    OnnxGraph graph = model.graph();
    Map<Integer, String> refusals = new TreeMap<>();
    for (int i = 0; i < graph.nodeCount(); i++) {
      if (LinearPattern.isMatrixProduct(graph.node(i)) && !graph.isConstant(i)) {
        LinearPattern pattern = LinearPattern.at(graph, i);
        if (pattern.call().isPresent()) {
          linears.put(i, pattern.call().get());
        } else {
          refusals.put(i, pattern.refusal());
        }
      }
    }
    this.owners =
        DynamoOwners.understands(graph)
            ? new DynamoOwners(graph)
            : new TorchScriptOwners(graph, parameters, linears);
    Map<String, List<Integer>> nodes = new LinkedHashMap<>();
    for (int i = 0; i < graph.nodeCount(); i++) {
      String owner = owners.owner(i);
      for (String key = owner; !key.isEmpty(); key = ScopePath.parentKey(key)) {
        List<Integer> own = nodes.computeIfAbsent(key, unused -> new ArrayList<>());
        if (key.equals(owner)) {
          own.add(i);
        }
      }
    }
    parameters.modules().forEach(key -> nodes.computeIfAbsent(key, unused -> new ArrayList<>()));
    owners.calledModules().forEach(key -> nodes.computeIfAbsent(key, unused -> new ArrayList<>()));
    nodes.remove("");
    for (String key : inOrder(nodes)) {
      ModuleInfo module = describe(key, nodes, parameters, refusals);
      modules.put(
          key,
          owners
              .foldedInto(key)
              .map(layer -> module.refused("the exporter folded it into '" + layer + "'"))
              .orElse(module));
    }
  }

  /**
   * Finds the modules of a model.
   *
   * @throws InvalidInputException if the nodes carry no module names of either exporter
   */
  public static ModuleTree of(OnnxModel model) {
    OnnxGraph graph = model.graph();
    boolean named = DynamoOwners.understands(graph);
    for (int i = 0; i < graph.nodeCount(); i++) {
      named |= graph.node(i).getName().startsWith("/");
    }
    if (!named) {
      throw new InvalidInputException(
          model.file()
              + ": its nodes carry no module names; export it with torch.onnx.export of torch 1.13"
              + " or later, and rename no nodes afterwards");
    }
    return new ModuleTree(model, new ParameterNames(graph));
  }

  /** Every module but the model itself, parents before children, in the order of the graph. */
  public Collection<ModuleInfo> modules() {
    return modules.values();
  }

  /**
   * The module with a key. A ModuleDict or ModuleList may be missing from the key of a module whose
   * parameters lost their names; the full key is understood all the same.
   *
   * @throws InvalidInputException if no module, or more than one, fits; lists near matches
   */
  public ModuleInfo find(String key) {
    ModuleInfo module = modules.get(key);
    if (module != null) {
      return module;
    }
    List<ModuleInfo> fitting = new ArrayList<>();
    int mostComponents = 0;
    for (ModuleInfo candidate : modules.values()) {
      if (!owners.isSpelledOut(candidate.key()) || candidate.calls().isEmpty()) {
        continue;
      }
      ScopePath path = owners.path(candidate.calls().get(0).nodes().get(0));
      int components = path.components().size();
      if (path.alignedTo(key).isEmpty() || components < mostComponents) {
        continue;
      }
      if (components > mostComponents) {
        fitting.clear();
        mostComponents = components;
      }
      fitting.add(candidate);
    }
    if (fitting.size() == 1) {
      return fitting.get(0).withKey(key);
    }
    throw new InvalidInputException(
        model.file()
            + (fitting.isEmpty()
                ? ": no module '" + key + "'" + nearMatches(key)
                : ": module '" + key + "' cannot be told from others: " + keys(fitting)));
  }

  /** The name of a module's PyTorch class, such as {@code Linear}, if the file tells. */
  public Optional<String> className(String key) {
    return owners.className(key);
  }

  /** The key of the module that a node belongs to; empty for the model itself. */
  public String owner(int node) {
    return owners.owner(node);
  }

  /** Keys of the modules below a container that can go remote. */
  public List<String> remotableBelow(String container) {
    return modules.values().stream()
        .filter(module -> module.canGoRemote() && module.key().startsWith(container + "."))
        .map(ModuleInfo::key)
        .toList();
  }

  private static List<String> inOrder(Map<String, List<Integer>> nodes) {
    Map<String, Integer> first = new LinkedHashMap<>();
    nodes.forEach(
        (key, own) -> {
          int index = own.isEmpty() ? Integer.MAX_VALUE : own.get(0);
          for (String k = key; !k.isEmpty(); k = ScopePath.parentKey(k)) {
            first.merge(k, index, Math::min);
          }
        });
    // A module without nodes stands with its parent.
    new TreeMap<>(first)
        .forEach(
            (key, index) ->
                first.merge(
                    key,
                    first.getOrDefault(ScopePath.parentKey(key), Integer.MAX_VALUE),
                    (own, parent) -> own == Integer.MAX_VALUE ? parent : own));
    return first.keySet().stream()
        .sorted(Comparator.comparing((String key) -> first.get(key)).thenComparing(key -> key))
        .toList();
  }

  private ModuleInfo describe(
      String key,
      Map<String, List<Integer>> nodes,
      ParameterNames parameters,
      Map<Integer, String> refusals) {
    List<Integer> own =
        nodes.getOrDefault(key, List.of()).stream()
            .filter(node -> !model.graph().isConstant(node))
            .toList();
    Set<String> operators = new LinkedHashSet<>();
    own.forEach(node -> operators.add(model.graph().node(node).getOpType()));
    List<String> children =
        nodes.keySet().stream().filter(other -> other.startsWith(key + ".")).toList();
    Map<String, List<Long>> shapes = parameters.of(key);
    if (!children.isEmpty()) {
      return new ModuleInfo(
          key,
          ModuleKind.CONTAINER,
          List.copyOf(operators),
          shapes,
          List.of(),
          "contains " + contents(key, children) + "; only Linear modules can go remote");
    }
    List<LinearCall> calls = new ArrayList<>();
    Set<Integer> rest = new LinkedHashSet<>(own);
    for (int node : own) {
      if (linears.containsKey(node)) {
        calls.add(linears.get(node));
        linears.get(node).nodes().forEach(rest::remove);
      }
    }
    if (!calls.isEmpty() && rest.isEmpty() && areOneLayer(calls)) {
      return new ModuleInfo(
          key,
          ModuleKind.LINEAR,
          List.copyOf(operators),
          linearShapes(key, calls.get(0)),
          calls,
          "");
    }
    return new ModuleInfo(
        key,
        ModuleKind.OPERATOR,
        List.copyOf(operators),
        shapes,
        List.of(),
        refusal(own, operators, calls, refusals));
  }

  private boolean areOneLayer(List<LinearCall> calls) {
    LinearCall first = calls.get(0);
    for (LinearCall call : calls.subList(1, calls.size())) {
      boolean sameTensors =
          call.weight().equals(first.weight()) && call.bias().equals(first.bias());
      if (call.dIn() != first.dIn()
          || call.dOut() != first.dOut()
          || (!sameTensors && !haveEqualValues(call, first))) {
        return false;
      }
    }
    return true;
  }

  private boolean haveEqualValues(LinearCall a, LinearCall b) {
    OnnxGraph graph = model.graph();
    return Arrays.equals(a.weights(graph), b.weights(graph))
        && Arrays.equals(a.biases(graph).orElse(null), b.biases(graph).orElse(null));
  }

  private static Map<String, List<Long>> linearShapes(String key, LinearCall call) {
    Map<String, List<Long>> shapes = new LinkedHashMap<>();
    shapes.put(key + ".weight", List.of((long) call.dOut(), (long) call.dIn()));
    if (call.bias().isPresent()) {
      shapes.put(key + ".bias", List.of((long) call.dOut()));
    }
    return shapes;
  }

  private static String refusal(
      List<Integer> own,
      Set<String> operators,
      List<LinearCall> calls,
      Map<Integer, String> refusals) {
    if (own.isEmpty()) {
      return "no node of the graph carries its name: it is never called, or it was fused into"
          + " another module";
    }
    Optional<String> product =
        own.stream().filter(refusals::containsKey).map(refusals::get).findFirst();
    if (product.isPresent()) {
      return product.get() + "; only Linear modules can go remote";
    }
    if (calls.size() > 1) {
      return "holds "
          + calls.size()
          + " different matrix products; only Linear modules can go remote";
    }
    return "its operators are "
        + String.join(", ", operators)
        + "; only Linear modules (Gemm, or MatMul by a constant) can go remote";
  }

  private static String contents(String key, List<String> children) {
    List<String> direct =
        children.stream()
            .map(child -> child.substring(key.length() + 1))
            .map(child -> child.contains(".") ? child.substring(0, child.indexOf('.')) : child)
            .distinct()
            .map(child -> key + "." + child)
            .toList();
    String listed = String.join(", ", direct.subList(0, Math.min(LISTED_CHILDREN, direct.size())));
    return direct.size() > LISTED_CHILDREN
        ? listed + " and " + (direct.size() - LISTED_CHILDREN) + " more"
        : listed;
  }

  private String nearMatches(String key) {
    LevenshteinDistance distance = LevenshteinDistance.getDefaultInstance();
    List<String> near =
        modules.keySet().stream()
            .sorted(
                Comparator.comparing((String other) -> modules.get(other).canGoRemote() ? 0 : 1)
                    .thenComparing(other -> isPartOf(key, other) ? 0 : 1)
                    .thenComparing(other -> distance.apply(key, other)))
            .limit(NEAR_MATCHES)
            .toList();
    return near.isEmpty()
        ? "; the model has no modules"
        : "; did you mean " + String.join(", ", near) + "? `fhe-spark modules` lists all of them";
  }

  private static boolean isPartOf(String key, String other) {
    return !key.isEmpty() && (other.endsWith("." + key) || other.startsWith(key + "."));
  }

  private static String keys(List<ModuleInfo> modules) {
    return String.join(", ", modules.stream().map(ModuleInfo::key).toList());
  }
}
