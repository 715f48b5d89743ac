package org.fhespark.compiler.split;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.TensorInfo;
import com.google.protobuf.UnknownFieldSet;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/**
 * Cuts some nodes of a model out as a model of their own, with the constants they need and nothing
 * else: no documentation, metadata or unknown fields, which might hold what the nodes do not.
 */
final class Subgraph {
  private static final String ORT_TYPE_PREFIX = "ONNX_TENSOR_ELEMENT_DATA_TYPE_";

  private final OnnxGraph graph;
  private final Set<Integer> nodes;
  private final Set<String> initializers = new TreeSet<>();

  private Subgraph(OnnxGraph graph, Collection<Integer> nodes) {
    this.graph = graph;
    this.nodes = new TreeSet<>(nodes);
  }

  /**
   * A model of the given nodes.
   *
   * @param inputs tensors it is given
   * @param outputs tensors it gives; each is made by a node or constant
   * @param types ONNX Runtime's idea of a tensor's type and shape
   */
  static ModelProto of(
      OnnxModel model,
      Collection<Integer> nodes,
      Collection<String> inputs,
      Collection<String> outputs,
      Function<String, TensorInfo> types) {
    OnnxGraph graph = model.graph();
    Subgraph subgraph = new Subgraph(graph, nodes);
    nodes.forEach(node -> graph.reads(node).forEach(subgraph::addConstant));
    outputs.forEach(subgraph::addConstant);
    GraphProto.Builder proto = GraphProto.newBuilder().setName("fhe-spark");
    subgraph.nodes.forEach(node -> proto.addNode(bare(graph.node(node))));
    subgraph.initializers.forEach(
        name -> proto.addInitializer(bare(graph.initializers().get(name))));
    inputs.forEach(name -> proto.addInput(valueInfo(name, types.apply(name))));
    outputs.forEach(name -> proto.addOutput(valueInfo(name, types.apply(name))));
    return ModelProto.newBuilder()
        .setIrVersion(model.proto().getIrVersion())
        .addAllOpsetImport(model.proto().getOpsetImportList())
        .setGraph(proto)
        .build();
  }

  /** The same model for tensors of any shape. */
  static ModelProto ofAnyShape(ModelProto model) {
    ModelProto.Builder open = model.toBuilder();
    open.getGraphBuilder()
        .getInputBuilderList()
        .forEach(input -> input.getTypeBuilder().getTensorTypeBuilder().clearShape());
    open.getGraphBuilder()
        .getOutputBuilderList()
        .forEach(output -> output.getTypeBuilder().getTensorTypeBuilder().clearShape());
    return open.build();
  }

  private void addConstant(String tensor) {
    if (!graph.isConstant(tensor)) {
      return;
    }
    int producer = graph.producer(tensor);
    if (producer < 0) {
      initializers.add(tensor);
    } else if (nodes.add(producer)) {
      graph.reads(producer).forEach(this::addConstant);
    }
  }

  private static NodeProto bare(NodeProto node) {
    NodeProto.Builder bare =
        node.toBuilder()
            .clearDocString()
            .clearMetadataProps()
            .setUnknownFields(UnknownFieldSet.getDefaultInstance());
    for (int i = 0; i < bare.getAttributeCount(); i++) {
      bare.setAttribute(i, bare(bare.getAttribute(i)));
    }
    return bare.build();
  }

  private static AttributeProto bare(AttributeProto attribute) {
    AttributeProto.Builder bare =
        attribute.toBuilder()
            .clearDocString()
            .setUnknownFields(UnknownFieldSet.getDefaultInstance());
    if (bare.hasT()) {
      bare.setT(bare(bare.getT()));
    }
    if (bare.hasG()) {
      bare.setG(bare(bare.getG()));
    }
    List<GraphProto> bodies = new ArrayList<>(bare.getGraphsList());
    bodies.replaceAll(Subgraph::bare);
    return bare.clearGraphs().addAllGraphs(bodies).build();
  }

  /** The body of an If, Loop or Scan. */
  private static GraphProto bare(GraphProto body) {
    GraphProto.Builder bare =
        body.toBuilder()
            .clearDocString()
            .clearMetadataProps()
            .clearQuantizationAnnotation()
            .setUnknownFields(UnknownFieldSet.getDefaultInstance());
    for (int i = 0; i < bare.getNodeCount(); i++) {
      bare.setNode(i, bare(bare.getNode(i)));
    }
    for (int i = 0; i < bare.getInitializerCount(); i++) {
      bare.setInitializer(i, bare(bare.getInitializer(i)));
    }
    return bare.build();
  }

  private static TensorProto bare(TensorProto tensor) {
    return tensor.toBuilder()
        .clearDocString()
        .clearMetadataProps()
        .setUnknownFields(UnknownFieldSet.getDefaultInstance())
        .build();
  }

  private static ValueInfoProto valueInfo(String name, TensorInfo info) {
    String elements = info.onnxType.name().substring(ORT_TYPE_PREFIX.length());
    TypeProto.Tensor.Builder type =
        TypeProto.Tensor.newBuilder()
            .setElemType(TensorProto.DataType.valueOf(elements).getNumber());
    // ONNX Runtime tells no axes of a scalar and of a tensor whose rank it could not infer alike.
    if (info.getShape().length > 0) {
      type.setShape(shape(info));
    }
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(TypeProto.newBuilder().setTensorType(type))
        .build();
  }

  private static TensorShapeProto.Builder shape(TensorInfo info) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (long axis : info.getShape()) {
      TensorShapeProto.Dimension.Builder dimension = shape.addDimBuilder();
      if (axis >= 0) {
        dimension.setDimValue(axis);
      }
    }
    return shape;
  }
}
