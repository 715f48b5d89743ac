package org.fhespark.compiler.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Who makes and who reads each tensor of an ONNX graph. Nodes are known by their place in the file,
 * which ONNX requires to be a topological order.
 */
public final class OnnxGraph {
  private final GraphProto proto;
  private final List<List<String>> reads = new ArrayList<>();
  private final Map<String, Integer> producers = new HashMap<>();
  private final Map<String, List<Integer>> consumers = new HashMap<>();
  private final Map<String, TensorProto> initializers = new LinkedHashMap<>();
  private final Set<String> constants = new HashSet<>();
  private final List<ValueInfoProto> inputs;
  private final Set<String> outputNames = new LinkedHashSet<>();

  OnnxGraph(GraphProto proto) {
    this.proto = proto;
    for (TensorProto initializer : proto.getInitializerList()) {
      initializers.put(initializer.getName(), initializer);
      constants.add(initializer.getName());
    }
    // Old exporters list initialisers among the inputs too.
    inputs =
        proto.getInputList().stream().filter(i -> !initializers.containsKey(i.getName())).toList();
    proto.getOutputList().forEach(output -> outputNames.add(output.getName()));
    for (int i = 0; i < proto.getNodeCount(); i++) {
      addNode(i, proto.getNode(i));
    }
  }

  private void addNode(int index, NodeProto node) {
    Set<String> read = new LinkedHashSet<>();
    node.getInputList().stream().filter(name -> !name.isEmpty()).forEach(read::add);
    boolean hasSubgraph = addCaptured(node, read);
    reads.add(List.copyOf(read));
    for (String name : read) {
      consumers.computeIfAbsent(name, unused -> new ArrayList<>()).add(index);
    }
    boolean constant =
        node.getOpType().equals("Constant")
            || (!read.isEmpty()
                && !hasSubgraph
                && !node.getOpType().startsWith("Random")
                && constants.containsAll(read));
    for (String output : node.getOutputList()) {
      if (!output.isEmpty()) {
        producers.put(output, index);
        if (constant) {
          constants.add(output);
        }
      }
    }
  }

  /** Adds the outer tensors that the bodies of If, Loop and Scan read. */
  private static boolean addCaptured(NodeProto node, Set<String> read) {
    boolean hasSubgraph = false;
    for (AttributeProto attribute : node.getAttributeList()) {
      List<GraphProto> bodies = new ArrayList<>(attribute.getGraphsList());
      if (attribute.hasG()) {
        bodies.add(attribute.getG());
      }
      for (GraphProto body : bodies) {
        hasSubgraph = true;
        Set<String> inner = new LinkedHashSet<>();
        Set<String> local = new HashSet<>();
        body.getInputList().forEach(input -> local.add(input.getName()));
        body.getInitializerList().forEach(tensor -> local.add(tensor.getName()));
        for (NodeProto innerNode : body.getNodeList()) {
          innerNode.getInputList().stream().filter(name -> !name.isEmpty()).forEach(inner::add);
          addCaptured(innerNode, inner);
          local.addAll(innerNode.getOutputList());
        }
        body.getOutputList().forEach(output -> inner.add(output.getName()));
        inner.removeAll(local);
        read.addAll(inner);
      }
    }
    return hasSubgraph;
  }

  /** As the model has it. */
  public GraphProto proto() {
    return proto;
  }

  /** Nodes of the graph itself; those of subgraphs do not count. */
  public int nodeCount() {
    return proto.getNodeCount();
  }

  /**
   * A node.
   *
   * @param index its place in the graph, which is in topological order, from 0
   */
  public NodeProto node(int index) {
    return proto.getNode(index);
  }

  /** Tensors that a node reads, those that the bodies of its subgraphs capture included. */
  public List<String> reads(int index) {
    return reads.get(index);
  }

  /** The node that makes a tensor, or -1 for inputs and initialisers. */
  public int producer(String tensor) {
    return producers.getOrDefault(tensor, -1);
  }

  /** The nodes that read a tensor, in order. */
  public List<Integer> consumers(String tensor) {
    return Collections.unmodifiableList(consumers.getOrDefault(tensor, List.of()));
  }

  /** Constants that the graph stores, by name; unmodifiable. */
  public Map<String, TensorProto> initializers() {
    return Collections.unmodifiableMap(initializers);
  }

  /**
   * True for tensors that are the same for every input: initialisers and what follows from them.
   */
  public boolean isConstant(String tensor) {
    return constants.contains(tensor);
  }

  /** True for nodes all of whose outputs are constant. */
  public boolean isConstant(int index) {
    return constants.containsAll(
        node(index).getOutputList().stream().filter(name -> !name.isEmpty()).toList());
  }

  /** The graph's inputs without initialisers. */
  public List<ValueInfoProto> inputs() {
    return inputs;
  }

  /** Names of the graph's outputs, in order. */
  public Set<String> outputNames() {
    return Collections.unmodifiableSet(outputNames);
  }

  /** A graph's input or output of float32, of any shape. */
  public static ValueInfoProto floats(String name) {
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(
            TypeProto.newBuilder()
                .setTensorType(
                    TypeProto.Tensor.newBuilder().setElemType(TensorProto.DataType.FLOAT_VALUE)))
        .build();
  }
}
