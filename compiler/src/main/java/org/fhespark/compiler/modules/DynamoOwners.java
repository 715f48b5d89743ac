package org.fhespark.compiler.modules;

import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.fhespark.compiler.onnx.OnnxGraph;

/**
 * Which module each node of a Dynamo export belongs to, by the scopes in its metadata.
 *
 * <p>Names of parameters do not count, for equal parameters are one tensor with the name of any of
 * them, but in one case: a node into which a BatchNorm was folded carries the BatchNorm's scope,
 * and only its weight tells the layer. Nodes that an optimiser made without scopes belong to the
 * innermost module around all that they read and all that read them.
 */
final class DynamoOwners implements ModuleOwners {
  private static final String RULES = "pkg.onnxscript.rewriter.rule_name";
  private static final String BATCH_NORM_RULE = "FuseBatchNorm";

  private final OnnxGraph graph;
  private final String[] owners;
  private final ScopePath[] paths;
  private final Set<String> calledModules = new LinkedHashSet<>();
  private final Map<String, String> classNames = new HashMap<>();
  private final Map<String, String> foldedInto = new HashMap<>();

  DynamoOwners(OnnxGraph graph) {
    this.graph = graph;
    this.owners = new String[graph.nodeCount()];
    this.paths = new ScopePath[graph.nodeCount()];
    List<Optional<ModuleScopes>> scopes = new ArrayList<>();
    for (int i = 0; i < owners.length; i++) {
      scopes.add(ModuleScopes.of(graph.node(i)));
      scopes.get(i).ifPresent(this::addModules);
    }
    for (int i = 0; i < owners.length; i++) {
      if (scopes.get(i).isPresent()) {
        owners[i] = scopes.get(i).get().owner();
        paths[i] = scopes.get(i).get().path();
        if (hasFoldedBatchNorm(graph.node(i))) {
          Optional<String> layer = layerOfWeight(i);
          if (layer.isPresent()) {
            foldedInto.put(owners[i], layer.get());
            assign(i, layer.get());
          }
        }
      }
    }
    for (int i = 0; i < owners.length; i++) {
      if (owners[i] == null) {
        assign(i, around(i));
      }
    }
  }

  /** True if any node tells its scopes. */
  static boolean understands(OnnxGraph graph) {
    for (int i = 0; i < graph.nodeCount(); i++) {
      if (ModuleScopes.of(graph.node(i)).isPresent()) {
        return true;
      }
    }
    return false;
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
    return false;
  }

  @Override
  public Set<String> calledModules() {
    return Collections.unmodifiableSet(calledModules);
  }

  @Override
  public Optional<String> foldedInto(String key) {
    return Optional.ofNullable(foldedInto.get(key));
  }

  @Override
  public Optional<String> className(String key) {
    return Optional.ofNullable(classNames.get(key));
  }

  private void addModules(ModuleScopes scopes) {
    calledModules.addAll(scopes.keys());
    for (int i = 0; i < scopes.classes().size(); i++) {
      classNames.putIfAbsent(scopes.keys().get(i), scopes.classes().get(i));
    }
  }

  private static boolean hasFoldedBatchNorm(NodeProto node) {
    return node.getMetadataPropsList().stream()
        .anyMatch(
            entry -> entry.getKey().equals(RULES) && entry.getValue().contains(BATCH_NORM_RULE));
  }

  private Optional<String> layerOfWeight(int node) {
    return graph.node(node).getInputCount() < 2
        ? Optional.empty()
        : Optional.of(graph.node(node).getInput(1))
            .filter(weight -> graph.initializers().containsKey(weight))
            .map(ScopePath::parentKey)
            .filter(key -> !key.isEmpty());
  }

  /** Gives a node to a module; its path is made of the module's ancestors that are called. */
  private void assign(int node, String key) {
    List<String> called = new ArrayList<>();
    for (String at = key; !at.isEmpty(); at = ScopePath.parentKey(at)) {
      if (at.equals(key) || calledModules.contains(at)) {
        called.add(0, at);
      }
    }
    owners[node] = key;
    paths[node] = ScopePath.ofKeys(called);
  }

  private String around(int node) {
    Set<String> neighbours = new HashSet<>();
    for (String tensor : graph.reads(node)) {
      int producer = graph.producer(tensor);
      if (producer >= 0 && owners[producer] != null) {
        neighbours.add(owners[producer]);
      }
    }
    for (String tensor : graph.node(node).getOutputList()) {
      for (int reader : graph.consumers(tensor)) {
        if (owners[reader] != null) {
          neighbours.add(owners[reader]);
        }
      }
      if (graph.outputNames().contains(tensor)) {
        neighbours.add("");
      }
    }
    return neighbours.stream().reduce(DynamoOwners::innermostAround).orElse("");
  }

  private static String innermostAround(String a, String b) {
    String key = a;
    while (!key.isEmpty() && !b.equals(key) && !b.startsWith(key + ".")) {
      key = ScopePath.parentKey(key);
    }
    return key;
  }
}
