package org.fhespark.compiler.lookups;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.ExactSession;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/** Some nodes of a model in ONNX Runtime: what some tensors are, given others. */
final class FloatPart implements AutoCloseable {
  private final String file;
  private final List<String> inputs;
  private final OrtSession session;

  private FloatPart(String file, List<String> inputs, OrtSession session) {
    this.file = file;
    this.inputs = inputs;
    this.session = session;
  }

  /**
   * A tensor's values.
   *
   * @param shape its axes
   * @param values row-major
   */
  record Values(long[] shape, float[] values) {}

  /**
   * The nodes that lead from some tensors to others.
   *
   * @param stops tensors that may be given; those that the outputs need become {@link #inputs()}
   * @param outputs tensors to compute
   * @param rounds whether activations are quantised and dequantised as the nodes say, or pass
   *     unchanged
   */
  static FloatPart of(
      OnnxModel model, Collection<String> stops, Collection<String> outputs, boolean rounds) {
    OnnxGraph graph = model.graph();
    TreeSet<Integer> nodes = new TreeSet<>();
    TreeSet<String> initializers = new TreeSet<>();
    Set<String> seen = new HashSet<>();
    List<String> pending = new ArrayList<>(outputs);
    List<String> inputs = new ArrayList<>();
    while (!pending.isEmpty()) {
      String tensor = pending.remove(pending.size() - 1);
      if (!seen.add(tensor)) {
        continue;
      }
      int producer = graph.producer(tensor);
      if (stops.contains(tensor) && !outputs.contains(tensor)) {
        inputs.add(tensor);
      } else if (producer >= 0) {
        nodes.add(producer);
        pending.addAll(graph.reads(producer));
      } else {
        initializers.add(tensor);
      }
    }
    GraphProto.Builder proto = GraphProto.newBuilder().setName("part");
    nodes.forEach(
        node ->
            proto.addNode(
                !rounds && !graph.isConstant(node) && LookupRegions.isFakeQuantisation(graph, node)
                    ? identity(graph.node(node))
                    : graph.node(node)));
    initializers.forEach(name -> proto.addInitializer(graph.initializers().get(name)));
    inputs.forEach(name -> proto.addInput(OnnxGraph.floats(name)));
    outputs.forEach(name -> proto.addOutput(ValueInfoProto.newBuilder().setName(name)));
    ModelProto part =
        ModelProto.newBuilder()
            .setIrVersion(model.proto().getIrVersion())
            .addAllOpsetImport(model.proto().getOpsetImportList())
            .setGraph(proto)
            .build();
    try {
      return new FloatPart(
          model.file(), List.copyOf(inputs), ExactSession.open(part.toByteArray()));
    } catch (OrtException e) {
      throw failure(model.file(), e);
    }
  }

  private static NodeProto identity(NodeProto node) {
    return NodeProto.newBuilder()
        .setOpType("Identity")
        .setName(node.getName())
        .addInput(node.getInput(0))
        .addOutput(node.getOutput(0))
        .build();
  }

  /** The tensors that must be given. */
  List<String> inputs() {
    return inputs;
  }

  /** Computes the outputs. */
  Map<String, Values> run(Map<String, Values> given) {
    Map<String, OnnxTensor> tensors = new HashMap<>();
    try {
      for (String input : inputs) {
        Values values = given.get(input);
        tensors.put(
            input,
            OnnxTensor.createTensor(
                OrtEnvironment.getEnvironment(), FloatBuffer.wrap(values.values), values.shape));
      }
      Map<String, Values> made = new HashMap<>();
      try (OrtSession.Result result = session.run(tensors)) {
        for (Map.Entry<String, ai.onnxruntime.OnnxValue> output : result) {
          OnnxTensor tensor = (OnnxTensor) output.getValue();
          FloatBuffer buffer = tensor.getFloatBuffer();
          float[] values = new float[buffer.remaining()];
          buffer.get(values);
          made.put(output.getKey(), new Values(tensor.getInfo().getShape(), values));
        }
      }
      return made;
    } catch (OrtException e) {
      throw failure(file, e);
    } finally {
      tensors.values().forEach(OnnxTensor::close);
    }
  }

  private static InvalidInputException failure(String file, OrtException e) {
    return new InvalidInputException(
        file
            + ": ONNX Runtime cannot run a part of it: "
            + ExactSession.reason(e)
            + "; name smaller remote modules",
        e);
  }

  @Override
  public void close() {
    ExactSession.close(session);
  }
}
