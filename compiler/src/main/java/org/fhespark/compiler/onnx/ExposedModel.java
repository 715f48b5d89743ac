package org.fhespark.compiler.onnx;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.fhespark.InvalidInputException;

/**
 * The whole float model in ONNX Runtime, with chosen inner tensors exposed as outputs: what tells
 * their types and shapes, and what calibration runs.
 */
public final class ExposedModel implements AutoCloseable {
  private final String file;
  private final OrtSession session;
  private final Map<String, NodeInfo> inputs;
  private final Map<String, NodeInfo> outputs;

  /**
   * Loads the model.
   *
   * @throws InvalidInputException if ONNX Runtime refuses it
   */
  public ExposedModel(OnnxModel model, Collection<String> exposed) {
    this.file = model.file();
    OnnxGraph graph = model.graph();
    Set<String> missing = new LinkedHashSet<>(exposed);
    missing.removeAll(graph.outputNames());
    graph.inputs().forEach(input -> missing.remove(input.getName()));
    GraphProto.Builder proto = graph.proto().toBuilder();
    missing.forEach(name -> proto.addOutput(ValueInfoProto.newBuilder().setName(name)));
    byte[] bytes = ModelProto.newBuilder(model.proto()).setGraph(proto).build().toByteArray();
    try {
      session = ExactSession.open(bytes);
      inputs = session.getInputInfo();
      outputs = session.getOutputInfo();
    } catch (OrtException e) {
      throw new InvalidInputException(
          file + ": ONNX Runtime refuses it: " + ExactSession.reason(e) + "; export it again", e);
    }
  }

  /**
   * Type and shape of an input, output or exposed tensor; -1 stands for open axes.
   *
   * @throws InvalidInputException if it is a sequence or map
   * @throws IllegalArgumentException if it is none of those
   */
  public TensorInfo info(String tensor) {
    NodeInfo info = outputs.containsKey(tensor) ? outputs.get(tensor) : inputs.get(tensor);
    if (info == null) {
      throw new IllegalArgumentException("tensor '" + tensor + "' was not exposed");
    }
    if (info.getInfo() instanceof TensorInfo tensorInfo) {
      return tensorInfo;
    }
    throw new InvalidInputException(
        file
            + ": '"
            + tensor
            + "' is no tensor ("
            + info.getInfo()
            + "); the model cannot be cut there");
  }

  /**
   * Runs the model up to some of its tensors; the caller closes the result.
   *
   * @throws InvalidInputException if ONNX Runtime refuses the inputs
   */
  public OrtSession.Result run(Map<String, OnnxTensor> values, Set<String> wanted) {
    try {
      return session.run(values, wanted);
    } catch (OrtException e) {
      throw new InvalidInputException(
          file + ": ONNX Runtime cannot run it on these inputs: " + ExactSession.reason(e), e);
    }
  }

  @Override
  public void close() {
    ExactSession.close(session);
  }
}
