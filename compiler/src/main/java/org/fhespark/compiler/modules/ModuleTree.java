package org.fhespark.compiler.modules;

import ai.onnx.proto.OnnxMl.TensorProto;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.apache.commons.text.similarity.LevenshteinDistance;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.affine.AffineRegions;
import org.fhespark.compiler.artifact.Unfolding;
import org.fhespark.compiler.lookups.LookupRegion;
import org.fhespark.compiler.lookups.LookupRegions;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/** The PyTorch modules of an ONNX model that leave nodes or parameters in it. */
public final class ModuleTree {
  /** What the model itself is called: its key in {@code named_modules()} is empty. */
  public static final String WHOLE_MODEL = ".";

  /** Between the keys of modules that are one remote part together. */
  public static final String JOIN = "+";

  private static final int NEAR_MATCHES = 3;

  private final OnnxModel model;
  private final AffineRegions regions;
  private final LookupRegions lookups;
  private final ModuleOwners owners;
  private final Map<String, ModuleInfo> modules = new LinkedHashMap<>();

  /** Their own nodes. */
  private final Map<String, List<Integer>> nodes = new LinkedHashMap<>();

  private final ModuleInfo wholeModel;

  private ModuleTree(OnnxModel model, ParameterNames parameters) {
    this.model = model;
    this.regions = new AffineRegions(model);
    this.lookups = new LookupRegions(model, regions::isShapeArithmetic);
    OnnxGraph graph = model.graph();
    Map<Integer, AffineCall> products = new LinkedHashMap<>();
    for (int i = 0; i < graph.nodeCount(); i++) {
      if (regions.isProduct(i)) {
        int product = i;
        ScopePath scope = ScopePath.of(graph.node(i));
        regions
            .product(i, reader -> ScopePath.of(graph.node(reader)).equals(scope))
            .calls()
            .forEach(call -> products.put(product, call));
      }
    }
    this.owners =
        DynamoOwners.understands(graph)
            ? new DynamoOwners(graph)
            : new TorchScriptOwners(graph, parameters, products);
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
      ModuleInfo module = describe(key, parameters);
      modules.put(
          key,
          owners
              .foldedInto(key)
              .map(layer -> module.refused("the exporter folded it into '" + layer + "'"))
              .orElse(module));
    }
    this.wholeModel = describeModel();
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
   * parameters lost their names; the full key is understood all the same. The model itself is the
   * module with the key {@link #WHOLE_MODEL}. Keys joined by {@link #JOIN} are one module, of all
   * that theirs compute together.
   *
   * @throws InvalidInputException if no module, or more than one, fits; lists near matches
   */
  public ModuleInfo find(String key) {
    if (key.isEmpty() || key.equals(WHOLE_MODEL)) {
      return wholeModel;
    }
    if (key.contains(JOIN)) {
      return joined(key);
    }
    ModuleInfo module = modules.get(key);
    if (module != null) {
      return module;
    }
    List<ModuleInfo> fitting = new ArrayList<>();
    int mostComponents = 0;
    for (ModuleInfo candidate : modules.values()) {
      if (!owners.isSpelledOut(candidate.key())
          || candidate.kind() == ModuleKind.CONTAINER
          || candidate.calls().isEmpty()) {
        continue;
      }
      ScopePath path = owners.path(candidate.calls().get(0).lastNode());
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

  /** Keys of the modules below a container that can go remote and hold no others. */
  public List<String> remotableBelow(String container) {
    return modules.values().stream()
        .filter(module -> module.kind() != ModuleKind.CONTAINER)
        .filter(ModuleInfo::canGoRemote)
        .filter(module -> container.equals(WHOLE_MODEL) || module.key().startsWith(container + "."))
        .map(ModuleInfo::key)
        .toList();
  }

  /** Keys of the containers below a container that look-ups compute, those in others left out. */
  public List<String> lookupsBelow(String container) {
    List<String> keys = new ArrayList<>();
    for (ModuleInfo module : modules.values()) {
      boolean below = container.equals(WHOLE_MODEL) || module.key().startsWith(container + ".");
      boolean covered = keys.stream().anyMatch(key -> module.key().startsWith(key + "."));
      if (below && !covered && !module.lookups().isEmpty()) {
        keys.add(module.key());
      }
    }
    return keys;
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

  private ModuleInfo describe(String key, ParameterNames parameters) {
    Set<String> operators = new LinkedHashSet<>();
    nodes.getOrDefault(key, List.of()).stream()
        .filter(node -> !model.graph().isConstant(node))
        .forEach(node -> operators.add(model.graph().node(node).getOpType()));
    List<String> children = children(key);
    Set<Integer> all = nodesWithin(key);
    List<AffineCall> calls = new ArrayList<>();
    List<LookupRegion> lookupCalls = new ArrayList<>();
    String refusal = findCalls(key, children, all, calls);
    if (!refusal.isEmpty()) {
      calls.clear();
      String second = findLookups(key, all, lookupCalls);
      // Of an affine module, what the first attempt says is closer.
      boolean closer = refusal.endsWith(AffineRegions.NON_LINEARITY) || second.isEmpty();
      refusal = closer && !all.isEmpty() ? second : refusal;
    }
    return new ModuleInfo(
        key,
        children.isEmpty() ? kind(calls) : ModuleKind.CONTAINER,
        List.copyOf(operators),
        !calls.isEmpty() && children.isEmpty()
            ? shapes(key, calls.get(0), parameters)
            : parameters.of(key),
        calls,
        lookupCalls,
        refusal);
  }

  private List<String> children(String key) {
    return nodes.keySet().stream().filter(other -> other.startsWith(key + ".")).toList();
  }

  /** The nodes of a module and of those in it. */
  private Set<Integer> nodesWithin(String key) {
    Set<Integer> all = new TreeSet<>(nodes.getOrDefault(key, List.of()));
    children(key).forEach(child -> all.addAll(nodes.get(child)));
    return all;
  }

  /** Modules that are one remote part together. */
  private ModuleInfo joined(String keys) {
    Set<Integer> all = new TreeSet<>();
    for (String key : keys.split(Pattern.quote(JOIN), -1)) {
      ModuleInfo part = find(key);
      if (part.key().equals(WHOLE_MODEL)) {
        throw new InvalidInputException(
            "module '" + keys + "': the model itself is joined to nothing; name '.' alone");
      }
      Set<Integer> own = nodesWithin(part.key());
      if (!Collections.disjoint(all, own)) {
        throw new InvalidInputException(
            "module '" + keys + "': '" + key + "' is in it twice; name each once");
      }
      if (part.parts().size() > 1) {
        throw new InvalidInputException(
            "module '"
                + keys
                + "': '"
                + key
                + "' is called "
                + part.parts().size()
                + " times, and what is joined is called once; name it alone");
      }
      all.addAll(own);
    }
    return describe(keys, all.stream().filter(regions::computes).toList());
  }

  /** The model itself, as one module. */
  private ModuleInfo describeModel() {
    return describe(
        WHOLE_MODEL,
        IntStream.range(0, model.graph().nodeCount()).filter(regions::computes).boxed().toList());
  }

  /** Nodes that are called once, whatever modules they are of. */
  private ModuleInfo describe(String key, List<Integer> computing) {
    Set<String> operators = new LinkedHashSet<>();
    computing.forEach(node -> operators.add(model.graph().node(node).getOpType()));
    AffineRegions.Region region = regions.of(computing.stream().filter(regions::isActive).toList());
    boolean isAffine = region.calls().size() == 1;
    LookupRegions.Found found = isAffine ? null : lookups.of(computing);
    boolean needsLookups = found != null && found.region() != null;
    return new ModuleInfo(
        key,
        ModuleKind.CONTAINER,
        List.copyOf(operators),
        Map.of(),
        isAffine ? region.calls() : List.of(),
        needsLookups ? List.of(found.region()) : List.of(),
        isAffine || needsLookups ? "" : found.refusal());
  }

  /**
   * Finds the regions with look-ups that the calls of a module are.
   *
   * @param found receives them
   * @return why the module cannot go remote; empty if it can
   */
  private String findLookups(String key, Set<Integer> nodes, List<LookupRegion> found) {
    List<Integer> computing = nodes.stream().filter(regions::computes).toList();
    if (computing.isEmpty()) {
      return "holds no product by weights: there is nothing to hide or to save";
    }
    for (List<Integer> call : ModuleCalls.of(model.graph(), owners, regions, key, computing)) {
      LookupRegions.Found region = lookups.of(call);
      if (region.region() == null) {
        found.clear();
        return region.refusal();
      }
      found.add(region.region());
    }
    return "";
  }

  /**
   * Finds the affine maps that the calls of a module are.
   *
   * @param calls receives them
   * @return why the module cannot go remote as such; empty if it can
   */
  private String findCalls(
      String key, List<String> children, Set<Integer> nodes, List<AffineCall> calls) {
    List<Integer> active = nodes.stream().filter(regions::isActive).toList();
    if (active.isEmpty()) {
      return children.isEmpty()
          ? "no node of the graph carries its name: it is never called, or another module computes"
              + " with its parameters, as nn.MultiheadAttention does with out_proj's; attention"
              + " that calls its projections, each an nn.Linear, can have them remote"
          : "holds no product by weights: there is nothing to hide or to save";
    }
    for (List<Integer> call : ModuleCalls.of(model.graph(), owners, regions, key, active)) {
      AffineRegions.Region region = regions.of(call);
      if (region.calls().isEmpty()) {
        return region.refusal();
      }
      calls.addAll(region.calls());
    }
    AffineCall first = calls.get(0);
    for (AffineCall call : calls.subList(1, calls.size())) {
      if (!AffineRegions.areOneLayer(call, first)) {
        return "makes '"
            + first.output()
            + "' and '"
            + call.output()
            + "' by different weights; a remote part has one input and one output";
      }
    }
    return "";
  }

  private ModuleKind kind(List<AffineCall> calls) {
    if (calls.isEmpty()) {
      return ModuleKind.OPERATOR;
    }
    return calls.get(0).unfolding().isPresent() ? ModuleKind.CONVOLUTION : ModuleKind.LINEAR;
  }

  private Map<String, List<Long>> shapes(String key, AffineCall call, ParameterNames parameters) {
    Map<String, List<Long>> named = parameters.of(key);
    if (named.containsKey(key + ".weight") && call.unfolding().isPresent()) {
      return named;
    }
    Map<String, List<Long>> shapes = new LinkedHashMap<>();
    shapes.put(
        key + ".weight",
        call.unfolding()
            .map(unfolding -> kernel(call, unfolding))
            .orElseGet(() -> List.of((long) call.dOut(), (long) call.dIn())));
    if (call.biases().isPresent()) {
      shapes.put(key + ".bias", List.of((long) call.dOut()));
    }
    return shapes;
  }

  /** The weight's shape as the node has it: the call's rows hold the channels of all groups. */
  private List<Long> kernel(AffineCall call, Unfolding unfolding) {
    OnnxGraph graph = model.graph();
    List<TensorProto> kernels =
        call.affineNodes().stream()
            .map(graph::node)
            .filter(node -> node.getOpType().equals("Conv"))
            .map(node -> graph.initializers().get(node.getInput(1)))
            .filter(Objects::nonNull)
            .toList();
    if (kernels.size() == 1) {
      return kernels.get(0).getDimsList();
    }
    List<Long> shape = new ArrayList<>(List.of((long) call.dOut(), (long) unfolding.channels()));
    unfolding.kernel().forEach(extent -> shape.add((long) extent));
    return shape;
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
