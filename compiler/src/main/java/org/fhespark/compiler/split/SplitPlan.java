package org.fhespark.compiler.split;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.affine.RemotePart;
import org.fhespark.compiler.lookups.LookupRegion;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/**
 * Which node runs where and when. A remote call of stage s reads what the clear segments up to s
 * make; its result is there for segment s + 1. Every node runs as early as its inputs allow; nodes
 * that no output needs run nowhere. Constants belong to no stage: each segment brings its own.
 */
public final class SplitPlan {
  private final OnnxGraph graph;
  private final List<RemoteCall> calls = new ArrayList<>();
  private final List<LookupCall> lookups = new ArrayList<>();
  private final SortedMap<Integer, ClearStage> clearStages = new TreeMap<>();

  /**
   * The clear nodes of a stage and the tensors that cross its border.
   *
   * @param nodes nodes of the graph, in order
   * @param inputs tensors made outside it
   * @param outputs tensors that later stages, remote calls or the model's outputs read
   */
  record ClearStage(List<Integer> nodes, Set<String> inputs, Set<String> outputs) {
    ClearStage() {
      this(new ArrayList<>(), new LinkedHashSet<>(), new LinkedHashSet<>());
    }
  }

  private SplitPlan(OnnxGraph graph) {
    this.graph = graph;
  }

  /**
   * Plans the cut of a model at the given modules.
   *
   * @throws InvalidInputException if no output depends on a module, or a tensor from inside one is
   *     needed outside
   */
  public static SplitPlan of(OnnxModel model, List<RemoteModule> modules) {
    SplitPlan plan = new SplitPlan(model.graph());
    Map<Integer, RemoteModule> moduleByNode = new HashMap<>();
    Map<Integer, RemotePart> callByNode = new HashMap<>();
    for (RemoteModule module : modules) {
      for (RemotePart call : module.parts()) {
        call.computingNodes().forEach(node -> moduleByNode.put(node, module));
        call.computingNodes().forEach(node -> callByNode.put(node, call));
      }
    }
    Set<String> needed = plan.neededTensors(callByNode);
    plan.requireNoInnerTensor(model.file(), moduleByNode, callByNode, needed);
    plan.assignStages(moduleByNode, callByNode, needed);
    for (RemoteModule module : modules) {
      if (plan.calls.stream().noneMatch(call -> call.module().equals(module.key()))
          && plan.lookups.stream().noneMatch(call -> call.module().equals(module.key()))) {
        throw new InvalidInputException(
            model.file()
                + ": no output depends on module '"
                + module.key()
                + "'; leave it out of the remote modules");
      }
    }
    return plan;
  }

  private Set<String> neededTensors(Map<Integer, RemotePart> callByNode) {
    Set<String> needed = new HashSet<>(graph.outputNames());
    for (int i = graph.nodeCount() - 1; i >= 0; i--) {
      RemotePart call = callByNode.get(i);
      if (call == null) {
        if (graph.node(i).getOutputList().stream().anyMatch(needed::contains)) {
          needed.addAll(graph.reads(i));
        }
      } else if (i == call.lastNode() && needed.contains(call.output())) {
        needed.add(call.input());
      }
    }
    return needed;
  }

  private void requireNoInnerTensor(
      String file,
      Map<Integer, RemoteModule> moduleByNode,
      Map<Integer, RemotePart> callByNode,
      Set<String> needed) {
    callByNode.forEach(
        (node, call) -> {
          for (String tensor : graph.node(node).getOutputList()) {
            if (needed.contains(tensor) && !tensor.equals(call.output())) {
              throw new InvalidInputException(
                  file
                      + ": tensor '"
                      + tensor
                      + "' inside module '"
                      + moduleByNode.get(node).key()
                      + "' is also needed outside it; name the modules inside it instead");
            }
          }
        });
  }

  private void assignStages(
      Map<Integer, RemoteModule> moduleByNode,
      Map<Integer, RemotePart> callByNode,
      Set<String> needed) {
    // Stage that has a tensor first, and the clear stage that makes it (none: inputs, remote
    // results).
    Map<String, Integer> available = new HashMap<>();
    Map<String, Integer> makers = new HashMap<>();
    for (int i = 0; i < graph.nodeCount(); i++) {
      RemotePart call = callByNode.get(i);
      if (call != null) {
        if (i == call.lastNode() && needed.contains(call.output())) {
          int stage = available.getOrDefault(call.input(), 0);
          String module = moduleByNode.get(i).key();
          if (call instanceof AffineCall affine) {
            calls.add(new RemoteCall(module, stage, affine));
          } else if (call instanceof LookupRegion region) {
            lookups.add(new LookupCall(module, stage, region));
          }
          available.put(call.output(), stage + 1);
          export(call.input(), makers);
        }
      } else if (!graph.isConstant(i)
          && graph.node(i).getOutputList().stream().anyMatch(needed::contains)) {
        assignClear(i, available, makers);
      }
    }
    calls.sort(Comparator.comparingInt(RemoteCall::stage));
    lookups.sort(Comparator.comparingInt(LookupCall::stage));
    for (String output : graph.outputNames()) {
      if (graph.isConstant(output)) {
        clearStages.computeIfAbsent(0, unused -> new ClearStage()).outputs().add(output);
      } else {
        export(output, makers);
      }
    }
  }

  private void assignClear(int node, Map<String, Integer> available, Map<String, Integer> makers) {
    List<String> reads = graph.reads(node).stream().filter(t -> !graph.isConstant(t)).toList();
    int stage = reads.stream().mapToInt(t -> available.getOrDefault(t, 0)).max().orElse(0);
    ClearStage clear = clearStages.computeIfAbsent(stage, unused -> new ClearStage());
    clear.nodes().add(node);
    for (String tensor : reads) {
      if (!Integer.valueOf(stage).equals(makers.get(tensor))) {
        clear.inputs().add(tensor);
        export(tensor, makers);
      }
    }
    for (String output : graph.node(node).getOutputList()) {
      available.put(output, stage);
      makers.put(output, stage);
    }
  }

  private void export(String tensor, Map<String, Integer> makers) {
    Integer maker = makers.get(tensor);
    if (maker != null) {
      clearStages.get(maker).outputs().add(tensor);
    }
  }

  /** The remote calls of affine modules by stage, then in the order of the graph. */
  public List<RemoteCall> calls() {
    return List.copyOf(calls);
  }

  /** The remote calls of modules that need look-ups by stage, then in the order of the graph. */
  public List<LookupCall> lookups() {
    return List.copyOf(lookups);
  }

  /** The stages that have clear work. */
  SortedMap<Integer, ClearStage> clearStages() {
    return clearStages;
  }

  /** Every tensor that crosses a border: of a segment, a remote call, or the model. */
  public Set<String> boundaryTensors() {
    Set<String> boundary = new LinkedHashSet<>();
    graph.inputs().forEach(input -> boundary.add(input.getName()));
    for (RemoteCall call : calls) {
      boundary.add(call.call().input());
      boundary.add(call.call().output());
    }
    for (LookupCall call : lookups) {
      boundary.add(call.region().input());
      boundary.add(call.region().output());
    }
    for (ClearStage stage : clearStages.values()) {
      boundary.addAll(stage.inputs());
      boundary.addAll(stage.outputs());
    }
    boundary.addAll(graph.outputNames());
    return boundary;
  }
}
